// Package doctor says what a machine offers to linebond, what it lacks, and what to do about that.
//
//	Machine: files, probes  --+
//	Subject: configuration  --+--> Examine --> Report: text or JSON
//
// It changes nothing. What the kernel has it reads in files: those of depmod(8), /proc and /sys. Many a question to the kernel has it load
// a module, so a probe asks only for what is loaded or built in, or where there is no module to load; and what has to be tried out is
// tried in a network namespace that ends with the probe (native.go).
package doctor

import (
	"cmp"
	"io/fs"

	"linebond/config"
	"linebond/netstate"
)

// Machine is what is examined.
type Machine struct {
	Files  fs.FS // from the root
	Arch   string
	Probes Probes
}

// Probes try out what no file tells. Each error is one line for people.
type Probes interface {
	PPPoE() error // what the kernel or this process lacks for PPPoE and /dev/ppp
	VLAN() error  // likewise for VLAN devices
	EBPF() error  // loads the data path's programs, and lets go of them

	// These happen in a network namespace of their own. All need the right to make one.
	Namespace() error              // nothing but that
	TCX() error                    // attaches a program by tcx
	Clsact() error                 // attaches a program by a tc filter
	Veth() error                   // makes a pair
	Scheduler() error              // makes a weighted bond by eBPF
	Multipath() error              // makes a route of two hops
	Qdisc(kind string) error       // puts one on a device
	Table(t netstate.Table) error  // makes an nftables table
	Writable(file string) error    // of a file in /proc/sys: nothing is written
	Listening(socket string) error // whether somebody reads a Unix socket: nothing is sent
}

// Subject is what the machine is to do.
type Subject struct {
	Directory string // of the configuration
	Config    *config.Config
	Problems  []config.Problem

	// Choose says which data plane a line has, and why, and what that lacks; given what the kernel's PPPoE, its VLAN devices, and eBPF lack.
	Choose func(pppoe, vlan, ebpf error, l config.Line) (dataplane, reason string, lack error)
}

// Command is linebond's command line for a verb, on the same configuration.
func (s Subject) Command(verb string) string {
	if s.Directory == "/etc/linebond" {
		return "linebond " + verb
	}
	return "linebond " + verb + " --config " + s.Directory
}

// Level says how a finding is meant.
type Level string

// The levels. What is missing may not be needed: the verdict says.
const (
	OK      Level = "ok"
	Warning Level = "warning" // linebond runs, but not as well as it could, or somebody may interfere
	Missing Level = "missing"
	Unknown Level = "unknown" // this process may not look
)

// Finding is one thing that was looked at.
type Finding struct {
	ID     string `json:"id"` // e.g. "sch_teql"; does not change between versions
	Name   string `json:"name"`
	Level  Level  `json:"level"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"` // what to do about it

	lack   string // of what is missing: the detail without what it is for
	needed bool   // in the verdict: without it linebond cannot do what its configuration says
}

// Group is findings that belong together. Its ID is that of a room of the report, such as "kernel" or "line.a".
type Group struct {
	ID       string    `json:"id"`
	Title    string    `json:"title"`
	Findings []Finding `json:"findings"`
}

// Report is all that was found. The last group is the verdict.
type Report struct {
	Kernel    string  `json:"kernel"`    // its release
	Container bool    `json:"container"` // whether this is one
	Root      bool    `json:"root"`      // whether all could be looked at
	CanRun    bool    `json:"can_run"`   // linebond can do what its configuration says, as far as can be seen
	Lines     []Line  `json:"lines"`     // as far as they are configured
	Modes     []Mode  `json:"bond_modes"`
	Groups    []Group `json:"groups"`
}

// Line is the verdict on one line.
type Line struct {
	Name      string `json:"name"`
	Dataplane string `json:"dataplane"`
	Reason    string `json:"reason"`
	Lack      string `json:"lack,omitempty"` // why it cannot be dialled
}

// Mode is the verdict on one mode of bonds.
type Mode struct {
	Mode   string `json:"mode"`
	Usable bool   `json:"usable"`
	By     string `json:"by,omitempty"` // of "weighted": "ebpf", or without it "numgen" (of nftables)
	Lack   string `json:"lack,omitempty"`
}

// Examine looks at the machine.
func Examine(m Machine, s Subject) *Report {
	e := &examination{Machine: m, subject: s, system: readSystem(m.Files, m.Arch), found: map[string]Finding{}}
	r := &Report{Kernel: e.system.release, Container: e.system.container, Root: e.system.root(), CanRun: true}
	e.tries = e.system.root() && m.Probes.Namespace() == nil
	r.Groups = []Group{e.kernel(), e.tables(), e.host(), e.configuration()}
	for _, l := range s.Config.Lines {
		r.Groups = append(r.Groups, e.line(l))
	}
	verdict := e.verdict(r)
	for _, f := range verdict.Findings {
		r.CanRun = r.CanRun && !(f.needed && (f.Level == Missing || f.Level == Unknown))
	}
	r.Groups = append(r.Groups, verdict)
	return r
}

// examination is one while it is under way.
type examination struct {
	Machine
	subject Subject
	system  *system
	tries   bool               // this process may make network namespaces, to try things out in
	found   map[string]Finding // by ID: those that the verdict needs
}

// lack says what a part of the kernel is found to lack. What is unknown is not lacking.
func (e *examination) lack(id string) error {
	f := e.found[id]
	if f.Level != Missing {
		return nil
	}
	return lacking{f}
}

// lacking is a finding as an error.
type lacking struct{ Finding }

func (l lacking) Error() string {
	if l.Level == Missing {
		return "no " + l.Name + ": " + cmp.Or(l.lack, l.Detail)
	}
	return l.Name + ": " + l.Detail
}
