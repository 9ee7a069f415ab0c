package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// part is one part of the kernel.
type part struct {
	id, name string
	module   string   // that brings it; "": it is never a module
	also     []string // modules that must be there for the try
	symbol   string   // of the kernel's configuration
	evidence string   // a file that there is only with it, or ""
	purpose  string   // a sentence on who needs it
	try      func(Probes) error
	here     bool // the try needs no network namespace of its own
}

// part looks for a part of the kernel, and tries it where that cannot load a module.
func (e *examination) part(p part) Finding {
	f := Finding{ID: p.id, Name: p.name, Level: OK}
	tries := p.try != nil && (e.tries || p.here && e.system.root())
	state := e.system.module(p.module, p.symbol, p.evidence)
	switch {
	case state == loaded:
		f.Detail = "module, loaded"
	case state == builtIn:
		f.Detail = "built in"
	case state == loadable:
		f.Detail = "module, loaded when it is needed"
	case state == hidden && (!e.system.modular || p.module == "") && tries:
		f.Detail = "built in" // or so the try below says
	case state == hidden:
		f.Level, f.Detail, f.Remedy = Unknown, e.system.unseen(), e.system.remedy(p)
		if !e.system.modular || p.module == "" {
			f.Detail, f.Remedy = "it has to be tried out, which this process may not", e.allowed()
		}
	default:
		f.miss(e.system.absence(p), p.purpose, e.system.remedy(p))
	}
	if f.Level == OK && tries && e.system.quiet(p) {
		if err := p.try(e.Probes); err != nil {
			f.miss(oneLine(err), p.purpose, "") // of what is there the error says what to do
			if state == hidden {
				f.Remedy = e.system.remedy(p)
			}
		}
	}
	e.found[f.ID] = f
	return f
}

// miss makes it a finding of something that is missing.
func (f *Finding) miss(lack, purpose, remedy string) {
	f.Level, f.lack, f.Detail, f.Remedy = Missing, lack, lack+": "+purpose, remedy
}

// quiet says whether a try of the part has the kernel load nothing.
func (s *system) quiet(p part) bool {
	if !s.modular || s.sealed || p.module == "" {
		return true
	}
	present := func(known state) bool { return known == loaded || known == builtIn }
	return present(s.module(p.module, p.symbol, p.evidence)) &&
		!slices.ContainsFunc(p.also, func(module string) bool { return !present(s.state[module]) })
}

// unseen says why nothing is known of a module.
func (s *system) unseen() string {
	if s.container {
		return "not loaded; whether it can be, only the host of this container knows"
	}
	return "not loaded, and there is no /lib/modules/" + s.release
}

// absence says in which way there is no such part.
func (s *system) absence(p part) string {
	switch {
	case s.sealed && s.state[p.module] == loadable:
		return "a module that is not loaded, and loading is switched off (kernel.modules_disabled)"
	case !s.modular || p.module == "":
		return fmt.Sprintf("not in this kernel (%s)", p.symbol)
	}
	return fmt.Sprintf("this kernel has no module %s (%s)", p.module, p.symbol)
}

// remedy says what to do for a part that is not to be had.
func (s *system) remedy(p part) string {
	full := "linux-image-" + s.arch
	switch {
	case s.sealed && s.state[p.module] == loadable:
		return fmt.Sprintf("echo %s > /etc/modules-load.d/linebond-%[1]s.conf, and boot again", p.module)
	case (!s.modular || p.module == "") && s.container:
		return "on the host, not in here: boot a kernel that has it, such as Debian's " + full
	case !s.modular || p.module == "":
		return "boot a kernel that has it, such as Debian's " + full
	case s.container && !s.installed:
		return fmt.Sprintf("on the host, not in here: modprobe %s; where there is none, apt install %s and boot that", p.module, full)
	case s.container:
		return fmt.Sprintf("on the host, not in here: apt install %s, and boot that", full)
	case !s.installed:
		return "boot the kernel that is installed: the running one's modules were removed, as updates do"
	case s.distro == "ubuntu":
		return "apt install linux-modules-extra-" + s.release
	case s.distro == "debian":
		return "apt install " + full + ", and boot that"
	}
	return fmt.Sprintf("install the package with the rest of this kernel's modules, or a kernel that is built with %s", p.symbol)
}

// allowed says how to have everything tried out.
func (e *examination) allowed() string {
	switch {
	case !e.system.root():
		return e.privileged()
	case e.system.container:
		return "start the container with it: docker run --cap-add SYS_ADMIN; or run `" + e.subject.Command("doctor") + "` on the host"
	}
	return "run `" + e.subject.Command("doctor") + "` with CAP_SYS_ADMIN"
}

// oneLine gives an error's text without line breaks.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
