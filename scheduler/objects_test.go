package scheduler

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The committed objects are, byte by byte, what the compiler makes of the C source.
func TestObjectsAreNotStale(t *testing.T) {
	source, err := os.ReadFile("generate.go")
	must(t, err)
	_, line, _ := strings.Cut(string(source), "//go:generate go tool bpf2go ")
	line, _, _ = strings.Cut(line, "\n")
	dir := t.TempDir()
	bpf2go := exec.Command("/bin/sh", "-ec", "go tool bpf2go -output-dir "+dir+" "+line)
	bpf2go.Env = append(os.Environ(), "GOPACKAGE=scheduler")
	if out, err := bpf2go.CombinedOutput(); err != nil {
		t.Fatalf("building the eBPF programs (Debian: apt-get install clang-14 llvm-14 libbpf-dev linux-libc-dev): %v\n%s", err, out)
	}
	for _, name := range []string{"programs_bpfel.o", "programs_bpfeb.o", "programs_bpfel.go", "programs_bpfeb.go"} {
		committed, err := os.ReadFile(name)
		must(t, err)
		built, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		if !bytes.Equal(committed, built) {
			t.Errorf("%s is not what bpf/scheduler.c gives: run `go generate ./scheduler`", name)
		}
	}
}
