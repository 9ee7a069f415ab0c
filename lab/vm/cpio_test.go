package vm

import (
	"bytes"
	"encoding/hex"
	"os/exec"
	"strings"
	"testing"
)

// An archive as cpio itself reads it, and byte by byte.
func TestCPIO(t *testing.T) {
	var archive cpioArchive
	archive.directory("modules")
	archive.program("init", []byte("hello"))
	data := archive.bytes()

	header := func(fields string) string { return "070701" + strings.ReplaceAll(fields, " ", "") }
	want := header("00000001 000041ED 00000000 00000000 00000001 00000000 00000000 00000000 00000000 00000000 00000000 00000008 00000000") +
		"modules\x00\x00\x00" +
		header("00000002 000081ED 00000000 00000000 00000001 00000000 00000005 00000000 00000000 00000000 00000000 00000005 00000000") +
		"init\x00\x00" + "hello\x00\x00\x00" +
		header("00000003 00000000 00000000 00000000 00000001 00000000 00000000 00000000 00000000 00000000 00000000 0000000B 00000000") +
		"TRAILER!!!\x00\x00\x00\x00"
	if string(data) != want {
		t.Errorf("got\n%swant\n%s", hex.Dump(data), hex.Dump([]byte(want)))
	}

	cpio, err := exec.LookPath("cpio")
	if err != nil {
		return // not among the packages that the tests install
	}
	cmd := exec.Command(cpio, "--list", "--quiet")
	cmd.Stdin = bytes.NewReader(data)
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "modules\ninit\n" {
		t.Errorf("cpio says %v:\n%s", err, out)
	}
}
