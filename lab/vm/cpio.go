package vm

import (
	"bytes"
	"fmt"
)

// cpioArchive is an initramfs in the making, in the format "newc" of cpio (the kernel's Documentation/driver-api/early-userspace/buffer-format.rst):
// for each file a header of hexadecimal fields, the name and the data, each padded to four bytes.
type cpioArchive struct {
	data  bytes.Buffer
	files int
}

const (
	cpioDirectory = 0o040755
	cpioProgram   = 0o100755
	cpioEnd       = "TRAILER!!!"
)

func (a *cpioArchive) directory(name string)               { a.add(name, cpioDirectory, nil) }
func (a *cpioArchive) program(name string, content []byte) { a.add(name, cpioProgram, content) }

// bytes is the archive, complete.
func (a *cpioArchive) bytes() []byte {
	a.add(cpioEnd, 0, nil)
	return a.data.Bytes()
}

func (a *cpioArchive) add(name string, mode int, content []byte) {
	a.files++
	fields := []int{
		a.files, mode, 0, 0, 1, 0, // inode, mode, owner, group, links, time
		len(content), 0, 0, 0, 0, len(name) + 1, 0, // size, devices, length of the name with its 0, no checksum
	}
	a.data.WriteString("070701")
	for _, field := range fields {
		fmt.Fprintf(&a.data, "%08X", field)
	}
	a.data.WriteString(name + "\x00")
	a.pad()
	a.data.Write(content)
	a.pad()
}

func (a *cpioArchive) pad() {
	for a.data.Len()%4 != 0 {
		a.data.WriteByte(0)
	}
}
