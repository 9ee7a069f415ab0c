package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"linebond/auth"
)

// Files longer than this are not what they should be; bytes.
const (
	maxFile   = 64 << 10
	maxSecret = maxPassword + len("\r\n")
)

// Load reads dir/linebond.toml, which may be missing, and every line file in
// dir/lines.d. fsys is the whole file system, os.DirFS("/") on a real one,
// and dir is absolute in it, with or without the leading slash.
//
// The Config is never nil. It holds the lines whose files are free of errors,
// and defaults for what is wrong in linebond.toml. The problems, in the order
// of the files, say what was left out: a line that is missing from Lines
// because of an error in its file was not taken away by its user.
func Load(fsys fs.FS, dir string) (*Config, []Problem) {
	dir = clean(dir)
	c := defaults()
	if problem, ok := checkDirectory(fsys, dir); !ok {
		return &c, []Problem{problem}
	}
	daemon := loadDaemon(fsys, path.Join(dir, "linebond.toml"), &c)
	names, none := lineNames(fsys, dir)
	var lines []*lineFile
	for _, name := range names {
		lines = append(lines, loadLine(fsys, path.Join(dir, "lines.d"), name))
	}
	checkTogether(lines)
	daemon.checkLines(lines)
	sortProblems(daemon.doc.problems)
	problems := append(daemon.doc.problems, none...)
	for _, l := range lines {
		sortProblems(l.doc.problems)
		problems = append(problems, l.doc.problems...)
		if !l.doc.failed() {
			c.Lines = append(c.Lines, l.Line)
		}
	}
	return &c, problems
}

// checkDirectory says what is wrong with the directory itself.
func checkDirectory(fsys fs.FS, dir string) (Problem, bool) {
	info, err := fs.Stat(fsys, dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Problem{File: "/" + dir, Message: "there is no such directory; create it, with one file lines.d/NAME.toml per line, or name another by --config"}, false
	case err != nil:
		return Problem{File: "/" + dir, Message: reason(err)}, false
	case !info.IsDir():
		return Problem{File: "/" + dir, Message: "is not a directory"}, false
	}
	return Problem{}, true
}

// loadDaemon reads linebond.toml into c.
func loadDaemon(fsys fs.FS, file string, c *Config) *daemonFile {
	data, _, err := readFile(fsys, file, maxFile)
	f := &daemonFile{Config: c, doc: newDocument("/"+file, data)}
	switch {
	case err == nil:
		f.read()
	case !errors.Is(err, fs.ErrNotExist):
		f.doc.failFile("%s", reason(err))
		f.doc.broken = true
	}
	f.guard()
	return f
}

// lineNames lists the lines, sorted, or says why there are none. Hidden files
// are left alone as the shell does: editors keep copies and locks there.
func lineNames(fsys fs.FS, dir string) ([]string, []Problem) {
	lines := path.Join(dir, "lines.d")
	entries, err := fs.ReadDir(fsys, lines)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, []Problem{{File: "/" + lines, Message: reason(err)}}
	}
	var names []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".toml")
		if ok && !strings.HasPrefix(name, ".") {
			names = append(names, name)
		}
	}
	if names == nil {
		return nil, noLines(fsys, dir, entries)
	}
	slices.Sort(names) // a-b.toml stands before a.toml, but a before a-b
	return names, nil
}

// noLines warns that there is no line, by each file that looks as if it were
// meant to be one: any in lines.d, but for a NAME.toml.bak and the like, and a
// NAME.toml beside it.
func noLines(fsys fs.FS, dir string, entries []fs.DirEntry) (all []Problem) {
	warn := func(file, format string, args ...any) {
		all = append(all, Problem{File: "/" + file, Warning: true, Message: "there is no line to dial; " + fmt.Sprintf(format, args...)})
	}
	const misplaced = "this file is not read, for lines belong into lines.d/NAME.toml; if it is one, "
	beside, _ := fs.ReadDir(fsys, dir) // what cannot be listed gives no hint
	for _, e := range beside {
		name := e.Name()
		switch file := path.Join(dir, name); {
		case e.IsDir() || name[0] == '.' || name == "linebond.toml" || path.Ext(name) != ".toml":
		case path.Base(dir) == "lines.d":
			warn(file, misplaced+"give --config %s", shellWord(path.Dir("/"+dir)))
		default:
			warn(file, misplaced+"move it to %s", shellWord("/"+path.Join(dir, "lines.d", name)))
		}
	}
	for _, e := range entries {
		if name := e.Name(); !e.IsDir() && name[0] != '.' && !strings.Contains(name, ".toml") {
			warn(path.Join(dir, "lines.d", name), misplaced+"rename it to %s", shellWord(strings.TrimSuffix(name, path.Ext(name))+".toml"))
		}
	}
	if all == nil {
		warn(path.Join(dir, "lines.d"), "create NAME.toml here, with interface, username and password")
	}
	return all
}

// loadLine reads the file of one line, and its password file.
func loadLine(fsys fs.FS, dir, name string) *lineFile {
	file := path.Join(dir, name+".toml")
	data, info, err := readFile(fsys, file, maxFile)
	l := &lineFile{Line: defaultLine(name), overhead: leastFraming, doc: newDocument("/"+file, data)}
	if err != nil {
		l.doc.broken = true
		l.doc.failFile("%s", reason(err))
		return l
	}
	l.doc.read(lineKeys(l), nil)
	l.check()
	if l.doc.given("password") && othersRead(info) {
		l.doc.warnKey("password", "others than the owner can read it; run: chmod 600 %s", shellWord("/"+file))
	}
	if l.passwordFile != "" {
		l.readPassword(fsys, dir)
	}
	return l
}

// readPassword reads password_file. Its name is not in the messages of what is
// no file: who confuses the two keys has written the password there.
func (l *lineFile) readPassword(fsys fs.FS, dir string) {
	file, hint := l.passwordFile, ""
	if !path.IsAbs(file) {
		file, hint = path.Join(dir, file), "; a relative path begins at /"+dir
	}
	file = clean(file)
	data, info, err := readFile(fsys, file, int64(maxSecret))
	if err != nil {
		l.doc.failKey("password_file", "%s", reason(err)+hint)
		return
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	switch {
	case password == "" || len(password) > maxPassword:
		l.doc.failKey("password_file", "the password in it must have 1 to %d bytes", maxPassword)
	case strings.ContainsAny(password, "\r\n"):
		l.doc.failKey("password_file", "has more than one line; it must hold the password alone")
	default:
		l.Password = auth.NewSecret(password)
	}
	if othersRead(info) {
		l.doc.warnKey("password_file", "others than the owner can read it; run: chmod 600 %s", shellWord("/"+file))
	}
}

// readFile reads a regular file of at most limit bytes: a pipe or a device
// could keep its reader waiting. The byte order mark that Windows' Notepad puts
// at the start of a file is not part of the text.
func readFile(fsys fs.FS, file string, limit int64) ([]byte, fs.FileInfo, error) {
	info, err := fs.Stat(fsys, file)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errors.New("is not a regular file")
	}
	if info.Size() > limit {
		return nil, nil, fmt.Errorf("is longer than %d bytes", limit)
	}
	data, err := fs.ReadFile(fsys, file)
	return bytes.TrimPrefix(data, []byte("\ufeff")), info, err
}

// reason words an error of the file system without the file's name, which the
// problem has or must not have.
func reason(err error) string {
	var at *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such file"
	case errors.Is(err, fs.ErrPermission):
		return "no permission to read it; linebond runs as root, and the file must belong to root"
	case errors.As(err, &at):
		return "cannot be read: " + at.Err.Error()
	default:
		return err.Error()
	}
}

// othersRead says whether group or others may read the file.
func othersRead(info fs.FileInfo) bool { return info.Mode().Perm()&0o044 != 0 }

// clean turns a path of the machine into one of io/fs: from the root, without
// the leading slash.
func clean(p string) string {
	if p = strings.TrimPrefix(path.Clean("/"+p), "/"); p == "" {
		return "."
	}
	return p
}

// shellWord returns a word as a shell reads it back.
func shellWord(s string) string {
	plain := func(r rune) bool { return !notBare(r) || strings.ContainsRune("/.,+@", r) }
	if strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
