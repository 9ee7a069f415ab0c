package linebond

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rooms are the laws of docs/architecture.md: what each package may import of
// this module. A package that is not listed fails the test.
var rooms = map[string]struct {
	pure    bool
	imports string // packages of this module, by name
}{
	"ppp":      {pure: true},
	"pppoe":    {pure: true, imports: "ppp"},
	"auth":     {pure: true, imports: "ppp"},
	"lcp":      {pure: true, imports: "ppp auth"},
	"ipcp":     {pure: true, imports: "ppp"},
	"ipv6cp":   {pure: true, imports: "ppp"},
	"config":   {pure: true, imports: "auth"},
	"line":     {pure: true, imports: "ppp pppoe auth lcp ipcp ipv6cp config"},
	"netstate": {pure: true},
	"rate":     {pure: true},
	"bond":     {pure: true, imports: "config line netstate rate"},

	"scheduler/model": {pure: true},

	"wire":      {imports: "ppp pppoe"},
	"datapath":  {imports: "ppp pppoe"},
	"scheduler": {imports: "netstate scheduler/model"},
	"probe":     {imports: "lcp"},
	"kernel":    {imports: "netstate"},
	"resolv":    {},
	"syslog":    {},
	"doctor":    {imports: "config netstate"},
	"control":   {imports: "line"},

	"daemon":       {imports: "bond config control kernel lcp line netstate ppp pppoe probe rate scheduler syslog"},
	"cmd/linebond": {imports: "config control daemon datapath doctor kernel lab/tour netstate pppoe probe resolv scheduler wire"},

	"ppp/ppptest":      {imports: "ppp"},
	"lab":              {imports: "control lab/netns"},
	"lab/internet":     {},
	"lab/modem":        {},
	"lab/vm":           {},
	"lab/concentrator": {pure: true, imports: "auth ipcp ipv6cp lcp ppp pppoe"},
	"lab/netns":        {},
	"lab/isp":          {imports: "datapath lab/concentrator ppp pppoe"},
	"lab/tour":         {imports: "auth config control lab/concentrator lab/internet lab/isp lab/modem lab/netns"},
	"lab/vm/init":      {},
	"wire/hosttest":    {},
}

// impure are the packages that a pure room must not touch: the machine, the
// clock, other goroutines, the log.
var impure = []string{
	"os", "net/http", "syscall", "unsafe", "sync", "sync/atomic", "context", "runtime", "math/rand", "crypto/rand",
	"golang.org/x/sys", "go.uber.org/zap", "github.com/vishvananda/netlink", "github.com/mdlayher",
}

// clocks are the functions of package time, and effects those of package net,
// that a pure room must not call.
var (
	clocks  = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}
	effects = []string{"Dial", "DialTimeout", "Listen", "ListenPacket", "Interfaces", "InterfaceByName", "InterfaceAddrs", "Lookup", "LookupHost", "LookupIP"}
)

func TestImports(t *testing.T) {
	seen := map[string]bool{}
	for _, file := range sources(t) {
		room := path.Dir(file.name)
		seen[room] = true
		law, ok := rooms[room]
		if !ok {
			t.Errorf("%s: package %s is not in the table of imports_test.go and docs/architecture.md", file.name, room)
			continue
		}
		for _, spec := range file.syntax.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if ours, ok := strings.CutPrefix(name, "linebond/"); ok && !slices.Contains(strings.Fields(law.imports), ours) {
				t.Errorf("%s: %s may not import %s", file.name, room, ours)
			}
			if law.pure && slices.ContainsFunc(impure, func(p string) bool { return name == p || strings.HasPrefix(name, p+"/") }) {
				t.Errorf("%s: %s is a pure room and may not import %s", file.name, room, name)
			}
		}
		if law.pure {
			checkPure(t, file)
		}
	}
	for room := range rooms {
		if !seen[room] && room != "wire/hosttest" {
			t.Errorf("the table names %s, which is not there", room)
		}
	}
}

type source struct {
	name   string
	syntax *ast.File
	set    *token.FileSet
}

// sources parses each Go file of the module that is not a test.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	for _, name := range goFiles(t) {
		set := token.NewFileSet()
		syntax, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, source{name, syntax, set})
	}
	return all
}

func checkPure(t *testing.T, file source) {
	t.Helper()
	ast.Inspect(file.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			t.Errorf("%s: a pure room starts no goroutine", file.set.Position(n.Pos()))
		case *ast.SelectorExpr:
			p, ok := n.X.(*ast.Ident)
			if ok && (p.Name == "time" && slices.Contains(clocks, n.Sel.Name) || p.Name == "net" && slices.Contains(effects, n.Sel.Name)) {
				t.Errorf("%s: a pure room may not call %s.%s", file.set.Position(n.Pos()), p.Name, n.Sel.Name)
			}
		}
		return true
	})
}

func goFiles(t *testing.T) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") && path.Dir(name) != "." {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
