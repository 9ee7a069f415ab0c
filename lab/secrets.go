package lab

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// pppd knows one pair of files of secrets on a machine. Each AC has its lines there, under the name that its pppds authenticate as.
var secrets struct {
	sync.Mutex
	lines map[string]string // that name -> its lines
}

// setSecrets makes the users known to the pppds of that name until the test ends.
func setSecrets(t testing.TB, name string, users map[string]string) {
	t.Helper()
	var lines strings.Builder
	for user, password := range users {
		fmt.Fprintf(&lines, "%s %s %s *\n", quote(user), quote(name), quote(password))
	}
	writeSecrets(t, name, lines.String())
	t.Cleanup(func() { writeSecrets(t, name, "") })
}

func writeSecrets(t testing.TB, name, lines string) {
	t.Helper()
	secrets.Lock()
	defer secrets.Unlock()
	if secrets.lines == nil {
		secrets.lines = map[string]string{}
	}
	secrets.lines[name] = lines
	var all strings.Builder
	for _, l := range secrets.lines {
		all.WriteString(l)
	}
	for _, file := range []string{"/etc/ppp/pap-secrets", "/etc/ppp/chap-secrets"} {
		// By rename: a pppd that reads it meanwhile must not find half of it.
		err := os.WriteFile(file+".new", []byte(all.String()), 0o600)
		if err == nil {
			err = os.Rename(file+".new", file)
		}
		if err != nil {
			t.Fatalf("writing pppd's secrets: %v", err)
		}
	}
}

// quote writes a word as pppd's option files have it.
func quote(word string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}
