package doctor

import (
	"strings"
	"testing"

	"linebond/config"
)

// finding is one of a report, by the IDs of its group and of itself.
func (r *Report) finding(group, id string) Finding {
	for _, g := range r.Groups {
		for _, f := range g.Findings {
			if g.ID == group && f.ID == id {
				return f
			}
		}
	}
	return Finding{}
}

// TestVerdict: what is missing counts where the configuration asks for it.
func TestVerdict(t *testing.T) {
	const line = "interface = \"eth1\"\nusername = \"u\"\npassword = \"tiger\"\n"
	idle := with(debian, map[string]string{"proc/modules": ""})
	delete(idle, "proc/net/pppoe")
	nothing := map[string]string{"etc/linebond/linebond.toml": ""}
	noNAT := with(debian, map[string]string{
		"lib/modules/6.1.0-56-amd64/modules.dep": "kernel/nf_tables.ko:\nkernel/pppoe.ko:\nkernel/8021q.ko:\nkernel/sch_teql.ko:\nkernel/nft_masq.ko:\n",
	})
	weighted := map[string]string{"etc/linebond/linebond.toml": "[bond]\nmode = \"weighted\"\n"}
	noTEQL := with(debian, map[string]string{
		"lib/modules/6.1.0-56-amd64/modules.dep": strings.ReplaceAll(debian["lib/modules/6.1.0-56-amd64/modules.dep"], "kernel/net/sched/sch_teql.ko:\n", ""),
	})
	for name, c := range map[string]struct {
		files  map[string]string
		id     string
		level  Level
		detail string
		canRun bool
	}{
		"masquerade needs no SNAT": {noNAT, "router", OK, "can be had", true},
		"SNAT does": {
			with(noNAT, map[string]string{"etc/linebond/linebond.toml": "[lan]\ninterfaces = [\"eth0\"]\nnat = \"192.0.2.1\"\n"}),
			"router", Missing, "no SNAT and DNAT: this kernel has no module nft_nat (CONFIG_NFT_NAT)", false,
		},
		"the firewall needs conntrack": {
			with(noNAT, map[string]string{"etc/linebond/linebond.toml": "[host]\nfirewall = true\n"}),
			"router", Missing, "no connection tracking: this kernel has no module nft_ct (CONFIG_NFT_CT)", false,
		},
		"nothing asked for": {with(noNAT, nothing), "router", Missing, "no SNAT and DNAT: this kernel has no module nft_nat (CONFIG_NFT_NAT); not asked for", true},
		"lines of two data planes": {
			with(debian, map[string]string{"etc/linebond/lines.d/b.toml": line + "dataplane = \"ebpf\"\n"}),
			"bond.teql", Missing, "TEQL takes no lines of two data planes into one bond, but of teql0 a has kernel and b has ebpf", false,
		},
		"two lines of one, and one outside": {
			with(debian, map[string]string{"etc/linebond/lines.d/c.toml": line + "dataplane = \"ebpf\"\nbond = \"none\"\n"}),
			"bond.teql", OK, "can be had", true,
		},
		"a namespace": {
			without(debian, "proc/sys/net/core/netdev_budget"),
			"bond.teql", Missing, "TEQL devices are born in the first network namespace, which is not this one", false,
		},
		"a namespace with a TEQL device": {
			with(without(debian, "proc/sys/net/core/netdev_budget"), map[string]string{"sys/class/net/teql0/ifindex": "9\n"}),
			"bond.teql", OK, "can be had", true,
		},
		"multipath without TEQL": {
			with(noTEQL, map[string]string{"etc/linebond/linebond.toml": "[bond]\nmode = \"multipath\"\n"}),
			"bond.multipath", OK, "can be had", true,
		},
		"TEQL where multipath is asked for": {
			with(noTEQL, map[string]string{"etc/linebond/linebond.toml": "[bond]\nmode = \"multipath\"\n"}),
			"bond.teql", Missing, "no TEQL: this kernel has no module sch_teql (CONFIG_NET_SCH_TEQL); no bond asks for it", true,
		},
		"weighted": {with(debian, weighted), "bond.weighted", OK, "can be had, by eBPF", true},
		"weighted without eBPF": {
			with(without(debian, "proc/sys/kernel/unprivileged_bpf_disabled"), weighted), "bond.weighted", Warning,
			"by nftables (numgen) alone: about a third of the packets come out of order, nothing is shaped, and a silent line gets packets until " +
				"the daemon takes it out; no eBPF: not in this kernel (CONFIG_BPF_SYSCALL)", true,
		},
		"weighted without tc filters": {
			with(debian, weighted, map[string]string{
				"lib/modules/6.1.0-56-amd64/modules.dep": strings.ReplaceAll(debian["lib/modules/6.1.0-56-amd64/modules.dep"], "kernel/net/sched/cls_bpf.ko:\n", ""),
			}), "bond.weighted", Warning,
			"by nftables (numgen) alone: about a third of the packets come out of order, nothing is shaped, and a silent line gets packets until " +
				"the daemon takes it out; no eBPF scheduler: this kernel has no module cls_bpf (CONFIG_NET_CLS_BPF)", true,
		},
		"weighted without either": {
			with(without(debian, "proc/sys/kernel/unprivileged_bpf_disabled"), weighted, map[string]string{
				"lib/modules/6.1.0-56-amd64/modules.dep": strings.ReplaceAll(debian["lib/modules/6.1.0-56-amd64/modules.dep"], "kernel/net/netfilter/nft_numgen.ko:\n", ""),
			}), "bond.weighted", Missing,
			"neither by eBPF (no eBPF: not in this kernel (CONFIG_BPF_SYSCALL)), nor by nftables (no numgen: this kernel has no module nft_numgen (CONFIG_NFT_NUMGEN))", false,
		},
		"TEQL where it is asked for":    {noTEQL, "bond.teql", Missing, "no TEQL: this kernel has no module sch_teql (CONFIG_NET_SCH_TEQL)", false},
		"modules that are loaded later": {idle, "line.a", OK, "data plane kernel: this kernel has PPPoE", true},
		"a line that asks for what is not there": {
			with(base, map[string]string{"proc/sys/kernel/osrelease": "6.5.1", "etc/linebond/lines.d/a.toml": line + "dataplane = \"kernel\"\n"}),
			"line.a", Missing, "cannot be dialled: no PPPoE: not in this kernel (CONFIG_PPPOE)", false,
		},
	} {
		report := machine{files: c.files, asked: map[string]bool{}}.examine()
		if f := report.finding("verdict", c.id); f.Level != c.level || f.Detail != c.detail || report.CanRun != c.canRun {
			t.Errorf("%s: can run: %t: %+v", name, report.CanRun, f)
		}
	}
}

// TestShaping: what the queues of weighted bonds are made of, and what keeps their maps.
func TestShaping(t *testing.T) {
	weighted := map[string]string{
		"etc/linebond/linebond.toml":  "[bond]\nmode = \"weighted\"\n",
		"etc/linebond/lines.d/a.toml": debian["etc/linebond/lines.d/a.toml"] + "upload = \"5mbit\"\n",
		"etc/linebond/lines.d/b.toml": debian["etc/linebond/lines.d/b.toml"] + "upload = \"5mbit\"\n",
	}
	const (
		dep     = "lib/modules/6.1.0-56-amd64/modules.dep"
		builtin = "lib/modules/6.1.0-56-amd64/modules.builtin"
		alone   = "by tbf alone: a ping waits behind other connections"
		none    = "cannot be had: there is neither cake nor tbf, so what is too much for the lines waits in their modems"
		remedy  = "apt install linux-image-amd64, and boot that"
	)
	modules := strings.ReplaceAll(debian[dep], "sch_cake", "sch_tbf")
	noCake := with(debian, weighted, map[string]string{dep: modules})
	unfair := with(noCake, map[string]string{builtin: ""})
	nothing := with(unfair, map[string]string{dep: strings.ReplaceAll(modules, "sch_tbf", "sch_red")})
	hidden := with(machines["docker"].files, map[string]string{
		"proc/modules":               "veth 1 0\nsch_ingress 1 0\ncls_bpf 1 0\n",
		"etc/linebond/linebond.toml": weighted["etc/linebond/linebond.toml"], "etc/linebond/lines.d/a.toml": weighted["etc/linebond/lines.d/a.toml"],
	})
	module := func(name string) string {
		return "on the host, not in here: modprobe " + name + "; where there is none, apt install linux-image-amd64 and boot that"
	}
	for name, c := range map[string]struct {
		files map[string]string
		want  Finding
	}{
		"cake":             {with(debian, weighted), Finding{Level: OK, Detail: "by cake"}},
		"fq_codel":         {noCake, Finding{Level: OK, Detail: "by tbf with fq_codel below it"}},
		"tbf alone":        {unfair, Finding{Level: Warning, Detail: alone, Remedy: remedy}},
		"nothing":          {nothing, Finding{Level: Warning, Detail: none, Remedy: remedy}},
		"nobody asks":      {with(unfair, map[string]string{"etc/linebond/linebond.toml": "[bond]\nmode = \"teql\"\n"}), Finding{Level: Warning, Detail: alone + "; no bond asks for it"}},
		"not to be shaped": {with(unfair, map[string]string{"etc/linebond/linebond.toml": "[bond]\nmode = \"weighted\"\nshaping = \"none\"\n"}), Finding{Level: Warning, Detail: alone + "; no bond asks for it"}},
		"numgen":           {without(with(debian, weighted), "proc/sys/kernel/unprivileged_bpf_disabled"), Finding{}},
		"hidden":           {hidden, Finding{Level: Unknown, Detail: "by cake where that can be had, else by tbf", Remedy: module("sch_cake")}},
	} {
		report := machine{files: c.files, asked: map[string]bool{}}.examine()
		if c.want.Level != "" {
			c.want.ID, c.want.Name = "shaping", "shaping"
		}
		if f := report.finding("verdict", "shaping"); f != c.want {
			t.Errorf("%s: %+v", name, f)
		}
	}
	const bpf = "bpf /sys/fs/bpf bpf rw 0 0\n"
	lost := Finding{ID: "bpf_fs", Name: "BPF file system", Level: OK, Detail: "none at /sys/fs/bpf: counters and backlogs begin at zero after a restart", Remedy: "mount -t bpf bpf /sys/fs/bpf"}
	for mounts, want := range map[string]Finding{
		bpf:                                  {ID: "bpf_fs", Name: "BPF file system", Level: OK, Detail: "at /sys/fs/bpf"},
		"sysfs /sys sysfs rw 0 0\n":          lost,
		bpf + "none /sys/fs/bpf tmpfs rw\nx": lost,
		"":                                   {},
	} {
		report := machine{files: with(debian, weighted, map[string]string{"proc/self/mounts": mounts}), asked: map[string]bool{}}.examine()
		if f := report.finding("verdict", "bpf_fs"); f != want {
			t.Errorf("%q: %+v", mounts, f)
		}
	}
	report := machine{files: with(debian, map[string]string{"proc/self/mounts": "sysfs /sys sysfs rw 0 0\n"}), asked: map[string]bool{}}.examine()
	if f := report.finding("verdict", "bpf_fs"); f != (Finding{}) {
		t.Errorf("without a weighted bond: %+v", f)
	}
}

// without returns the files but for one.
func without(files map[string]string, name string) map[string]string {
	files = with(files)
	delete(files, name)
	return files
}

// TestRemedy: what is to be done on which system.
func TestRemedy(t *testing.T) {
	p := part{module: "pppoe", symbol: "CONFIG_PPPOE"}
	for want, s := range map[string]system{
		"boot a kernel that has it, such as Debian's linux-image-arm64":                                              {},
		"on the host, not in here: boot a kernel that has it, such as Debian's linux-image-arm64":                    {container: true},
		"on the host, not in here: modprobe pppoe; where there is none, apt install linux-image-arm64 and boot that": {container: true, modular: true},
		"on the host, not in here: apt install linux-image-arm64, and boot that":                                     {container: true, modular: true, installed: true},
		"boot the kernel that is installed: the running one's modules were removed, as updates do":                   {modular: true},
		"apt install linux-modules-extra-6.8.0-31-generic":                                                           {modular: true, installed: true, distro: "ubuntu"},
		"apt install linux-image-arm64, and boot that":                                                               {modular: true, installed: true, distro: "debian"},
		"install the package with the rest of this kernel's modules, or a kernel that is built with CONFIG_PPPOE":    {modular: true, installed: true},
		"echo pppoe > /etc/modules-load.d/linebond-pppoe.conf, and boot again":                                       {modular: true, installed: true, sealed: true, state: map[string]state{"pppoe": loadable}},
	} {
		s.arch, s.release = "arm64", "6.8.0-31-generic"
		if got := s.remedy(p); got != want {
			t.Errorf("%+v:\n%s\nwant\n%s", s, got, want)
		}
	}
}

// TestDistribution: Ubuntu is like Debian, but is not called so.
func TestDistribution(t *testing.T) {
	for release, want := range map[string]string{
		"ID=ubuntu\nID_LIKE=debian\n": "ubuntu", "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n": "ubuntu", "ID=raspbian\nID_LIKE=debian\n": "debian",
		"ID=debian": "debian", "ID=fedora\n": "", "": "",
	} {
		s := system{files: machine{files: map[string]string{"etc/os-release": release}}.tree()}
		if s.readDistribution(); s.distro != want {
			t.Errorf("%q: %q, want %q", release, s.distro, want)
		}
	}
}

// TestUnsureLine: a line of the kernel's data plane, where it cannot be told whether there is one.
func TestUnsureLine(t *testing.T) {
	m := machines["docker"]
	for dataplane, want := range map[string]string{
		config.DataplaneKernel: "data plane kernel: as configured, or so it seems: not all of what it needs could be looked at",
		config.DataplaneEBPF:   "data plane ebpf: as configured",
	} {
		m.asked = map[string]bool{}
		m.files = with(m.files, map[string]string{"etc/linebond/lines.d/a.toml": "interface = \"eth0\"\nusername = \"u\"\npassword = \"tiger\"\ndataplane = \"" + dataplane + "\"\n"})
		if f := m.examine().finding("verdict", "line.a"); f.Detail != want {
			t.Errorf("%+v", f)
		}
	}
}
