package isp

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
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(source), "//go:generate ")
	line, _, _ = strings.Cut(line, "\n")
	words := strings.Fields(line)
	dir := t.TempDir()
	args := append([]string{"tool", "bpf2go", "-output-dir", dir}, words[3:]...)
	bpf2go := exec.Command(words[0], args...)
	bpf2go.Env = append(os.Environ(), "GOPACKAGE=isp")
	if out, err := bpf2go.CombinedOutput(); err != nil {
		t.Fatalf("building the eBPF program (Debian: apt-get install clang-14 llvm-14 libbpf-dev linux-libc-dev): %v\n%s", err, out)
	}
	for _, name := range []string{"spread_bpfel.o", "spread_bpfeb.o", "spread_bpfel.go", "spread_bpfeb.go"} {
		committed, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		built, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(committed, built) {
			t.Errorf("%s is not what bpf/spread.c gives: run `go generate ./lab/isp`", name)
		}
	}
}
