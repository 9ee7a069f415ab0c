package vm

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// rootModules are what the guest needs to see the host's files. The rest it loads from those.
var rootModules = []string{"virtio_pci", "9pnet_virtio", "9p", "overlay"}

// makeInitramfs builds the program lab/vm/init and packs it, with the modules that it loads, into the file.
//
// That program is one of its own because it runs where there is no file but itself: a test binary is commonly linked dynamically.
func makeInitramfs(file string, k kernel) error {
	program := file + ".init"
	build := exec.Command("go", "build", "-race=false", "-ldflags=-s -w", "-o", program, "./lab/vm/init")
	build.Dir = k.module
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the guest's first program: %w: %s", err, out)
	}
	init, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	dependencies, err := os.ReadFile(filepath.Join(k.modules, "modules.dep"))
	if err != nil {
		return err
	}
	files, err := loadOrder(dependencies, rootModules)
	if err != nil {
		return err
	}
	var archive cpioArchive
	archive.program("init", init)
	archive.directory("modules")
	for i, name := range files {
		module, err := os.ReadFile(filepath.Join(k.modules, name))
		if err != nil {
			return err
		}
		archive.program(fmt.Sprintf("modules/%02d-%s", i, filepath.Base(name)), module) // init loads them in the order of their names
	}
	return os.WriteFile(file, archive.bytes(), 0o600)
}

// loadOrder lists the files of the modules and of all that they depend on, each after its own dependencies. dependencies is a
// modules.dep: "FILE: DEPENDENCY ...", with all dependencies, direct or not, the deepest last.
func loadOrder(dependencies []byte, modules []string) ([]string, error) {
	var order []string
	added := map[string]bool{}
	for _, module := range modules {
		line := moduleLine(dependencies, module)
		if line == nil {
			return nil, fmt.Errorf("the kernel has no module %s", module)
		}
		for i := len(line) - 1; i >= 0; i-- {
			if !added[line[i]] {
				added[line[i]] = true
				order = append(order, line[i])
			}
		}
	}
	return order, nil
}

// moduleLine is a module's line in modules.dep: its file, and those of its dependencies.
func moduleLine(dependencies []byte, module string) []string {
	for line := range bytes.Lines(dependencies) {
		file, rest, _ := strings.Cut(string(line), ":")
		if filepath.Base(file) == module+".ko" {
			return append([]string{file}, strings.Fields(rest)...)
		}
	}
	return nil
}
