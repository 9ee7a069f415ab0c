package doctor

import (
	"io/fs"
	"slices"
	"testing/fstest"
)

// deny makes files unreadable.
type deny struct {
	fs.FS
	files []string
}

func (d deny) Open(name string) (fs.File, error) {
	if slices.Contains(d.files, name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return d.FS.Open(name)
}

// ReadLink implements fs.ReadLinkFS.
func (d deny) ReadLink(name string) (string, error) {
	if slices.Contains(d.files, name) {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrPermission}
	}
	return fs.ReadLink(d.FS, name)
}

// Lstat implements fs.ReadLinkFS.
func (d deny) Lstat(name string) (fs.FileInfo, error) { return fs.Lstat(d.FS, name) }

// tree is the machine's file system.
func (m machine) tree() fs.FS {
	all := fstest.MapFS{}
	for name, text := range m.files {
		all[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o600}
	}
	for name, target := range m.links {
		all[name] = &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777}
	}
	return deny{all, m.denied}
}
