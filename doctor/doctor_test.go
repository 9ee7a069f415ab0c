package doctor

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"linebond/config"
	"linebond/netstate"
)

var update = flag.Bool("update", false, "write testdata/*.txt anew")

// machine is a Machine of files and of what probes answer.
type machine struct {
	files  map[string]string
	links  map[string]string // symbolic links
	denied []string          // files that this user may not read
	fails  map[string]error  // by the name of the probe: "tcx", "qdisc cake", "table nat"
	asked  map[string]bool   // probes that were called
	remark string            // of the test, at the head of the golden file
}

func (m machine) answer(probe string) error {
	m.asked[probe] = true
	return m.fails[probe]
}

func (m machine) PPPoE() error             { return m.answer("pppoe") }
func (m machine) VLAN() error              { return m.answer("vlan") }
func (m machine) EBPF() error              { return m.answer("ebpf") }
func (m machine) Namespace() error         { return m.answer("namespace") }
func (m machine) TCX() error               { return m.answer("tcx") }
func (m machine) Clsact() error            { return m.answer("clsact") }
func (m machine) Veth() error              { return m.answer("veth") }
func (m machine) Scheduler() error         { return m.answer("scheduler") }
func (m machine) Multipath() error         { return m.answer("multipath") }
func (m machine) Qdisc(kind string) error  { return m.answer("qdisc " + kind) }
func (m machine) Writable(string) error    { return m.answer("writable") }
func (m machine) Listening(s string) error { return m.answer("listening " + s) }
func (m machine) Table(t netstate.Table) error {
	return m.answer(fmt.Sprintf("table %s %s", t.Chains[0].Type, t.Chains[0].Rules[0].Verdict))
}

// examine examines a machine by its own configuration.
func (m machine) examine() *Report {
	files := m.tree()
	cfg, problems := config.Load(files, "/etc/linebond")
	return Examine(Machine{files, "amd64", m}, Subject{"/etc/linebond", cfg, problems, choose})
}

// choose does as cmd/linebond.
func choose(pppoe, vlan, ebpf error, l config.Line) (dataplane, reason string, lack error) {
	kernel := pppoe
	if kernel == nil && len(l.VLAN) > 0 {
		kernel = vlan
	}
	switch {
	case l.Dataplane == config.DataplaneKernel:
		return l.Dataplane, "as configured", kernel
	case l.Dataplane == config.DataplaneEBPF:
		return l.Dataplane, "as configured", ebpf
	case kernel == nil:
		return config.DataplaneKernel, "this kernel has PPPoE", nil
	case ebpf == nil:
		return config.DataplaneEBPF, kernel.Error(), nil
	}
	return config.DataplaneKernel, "neither can be had", errors.Join(kernel, ebpf)
}

// with returns the files of all, the last of each name.
func with(all ...map[string]string) map[string]string {
	files := map[string]string{}
	for _, some := range all {
		maps.Copy(files, some)
	}
	return files
}

var (
	base = map[string]string{
		"proc/sys/kernel/unprivileged_bpf_disabled":   "2\n",
		"proc/sys/net/core/bpf_jit_enable":            "1\n",
		"proc/sys/net/ipv4/ip_forward":                "0\n",
		"proc/sys/net/ipv4/conf/all/rp_filter":        "0\n",
		"proc/sys/net/ipv6/conf/default/disable_ipv6": "0\n",
		"proc/self/ns/net":                            "",
		"proc/sys/net/core/netdev_budget":             "300\n",
		"proc/self/status":                            "Name:\tlinebond\nCapEff:\t000001ffffffffff\n",
		"etc/os-release":                              "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n",
		"dev/null":                                    "",
		"sys/class/net/lo/type":                       "772\n",
		"sys/class/net/lo/ifindex":                    "1\n",
		"proc/1/comm":                                 "systemd\n",
		"proc/1/cmdline":                              "/sbin/init\x00",
	}
	debian = with(base, map[string]string{
		"proc/sys/kernel/osrelease": "6.1.0-56-amd64\n",
		"proc/sys/kernel/modprobe":  "/sbin/modprobe\n",
		"proc/modules":              "pppoe 24576 0 - Live 0x0\nppp_generic 53248 1 pppoe, Live 0x0\nnf_tables 299008 0 - Live 0x0\nveth 40960 0 - Live 0x0\n",
		"proc/net/pppoe":            "Id       Address              Device\n",
		"dev/ppp":                   "",
		"lib/modules/6.1.0-56-amd64/modules.builtin": "kernel/net/sched/sch_fq_codel.ko\n",
		"lib/modules/6.1.0-56-amd64/modules.dep": `kernel/drivers/net/ppp/pppoe.ko: kernel/drivers/net/ppp/pppox.ko kernel/drivers/net/ppp/ppp_generic.ko
kernel/drivers/net/veth.ko:
kernel/net/8021q/8021q.ko: kernel/net/802/mrp.ko
kernel/net/sched/sch_teql.ko:
kernel/net/sched/sch_cake.ko:
kernel/net/sched/sch_netem.ko:
kernel/net/sched/sch_ingress.ko:
kernel/net/sched/cls_bpf.ko:
kernel/net/netfilter/nf_tables.ko:
kernel/net/netfilter/nft_ct.ko:
kernel/net/netfilter/nft_masq.ko:
kernel/net/netfilter/nft_nat.ko:
kernel/net/netfilter/nft_numgen.ko:
kernel/net/netfilter/nft_chain_nat.ko:
`,
		"etc/linebond/linebond.toml":   "[bond]\nmode = \"teql\"\n[lan]\ninterfaces = [\"eth0\"]\n",
		"etc/linebond/lines.d/a.toml":  "interface = \"eth1\"\nvlan = 101\nusername = \"u\"\npassword = \"tiger\"\n",
		"etc/linebond/lines.d/b.toml":  "interface = \"eth2\"\nmtu = 1492\nusername = \"u\"\npassword = \"tiger\"\n",
		"sys/class/net/eth0/type":      "1\n",
		"sys/class/net/eth1/type":      "1\n",
		"sys/class/net/eth1/ifindex":   "3\n",
		"sys/class/net/eth1/flags":     "0x1003\n",
		"sys/class/net/eth1/carrier":   "1\n",
		"sys/class/net/eth1/mtu":       "1508\n",
		"sys/class/net/eth2/type":      "1\n",
		"sys/class/net/eth2/ifindex":   "4\n",
		"sys/class/net/eth2/flags":     "0x1002\n",
		"sys/class/net/eth2/mtu":       "1500\n",
		"run/systemd/netif/links/3":    "# This is private data. Do not parse.\nADMIN_STATE=configured\n", // but networkd does not run
		"run/NetworkManager/devices/4": "[device]\nmanaged=false\n",
		"proc/700/comm":                "NetworkManager\n",
		"proc/700/cmdline":             "/usr/sbin/NetworkManager\x00--no-daemon\x00",
		"proc/900/comm":                "linebond\n",
		"proc/900/cmdline":             "/usr/local/bin/linebond\x00run\x00",
	})
	errNotFound = errors.New("not in this kernel")
)

var machines = map[string]machine{
	"container": {
		remark: "the container that linebond is built in: no modules, no PPPoE, tcx",
		files: with(base, map[string]string{
			"proc/sys/kernel/osrelease": "6.18.44-fc\n", ".dockerenv": "",
			"proc/config.gz": gzipped("CONFIG_BPF_SYSCALL=y\nCONFIG_VETH=y\nCONFIG_IP_ROUTE_MULTIPATH=y\nCONFIG_NF_TABLES=y\nCONFIG_NFT_CT=y\nCONFIG_NFT_MASQ=y\nCONFIG_NFT_NAT=y\nCONFIG_NFT_NUMGEN=y\nCONFIG_NET_SCH_INGRESS=y\nCONFIG_NET_CLS_BPF=y\nCONFIG_NET_SCH_TBF=y\n"),
		}),
		fails: map[string]error{"listening /dev/log": errors.New("connect: no such file or directory")},
	},
	"unconfigured": {
		remark: "the same, but the kernel does not tell its configuration: all has to be tried out",
		files:  with(base, map[string]string{"proc/sys/kernel/osrelease": "6.5.1\n", "proc/sys/net/core/bpf_jit_enable": "0\n"}),
		fails: map[string]error{
			"pppoe": errors.New("the kernel has no PPPoE (address family not supported by protocol)"), "vlan": errNotFound, "tcx": errors.ErrUnsupported,
			"qdisc netem": errNotFound, "qdisc cake": errNotFound,
			"table filter accept": errors.New("the kernel 6.5.1 seems to be without nft_ct (CONFIG_NFT_CT)"),
		},
	},
	"debian": {
		remark: "Debian with all its modules, two lines in a bond, linebond running",
		files:  debian,
	},
	"weighted": {
		remark: "Debian without cake and a BPF file system, a weighted bond of two lines, one mistake in their files",
		files: with(debian, map[string]string{
			"lib/modules/6.1.0-56-amd64/modules.builtin": "",
			"lib/modules/6.1.0-56-amd64/modules.dep":     strings.ReplaceAll(debian["lib/modules/6.1.0-56-amd64/modules.dep"], "sch_cake", "sch_tbf"),
			"proc/self/mounts":                           "sysfs /sys sysfs rw,nosuid 0 0\n",
			"etc/linebond/linebond.toml":                 "[bond]\nmode = \"weighted\"\nshapping = \"cake\"\n",
			"etc/linebond/lines.d/a.toml":                debian["etc/linebond/lines.d/a.toml"] + "upload = \"5mbit\"\n",
			"etc/linebond/lines.d/b.toml":                debian["etc/linebond/lines.d/b.toml"] + "upload = \"5mbps\"\n",
		}),
	},
	"docker": {
		remark: "a container on Debian's kernel, of which only the host knows the modules",
		files: with(base, map[string]string{
			"proc/sys/kernel/osrelease": "6.12.1-amd64\n", ".dockerenv": "",
			"proc/modules":                "veth 1 0 - Live 0x0\nnf_tables 1 0 - Live 0x0\n",
			"etc/linebond/lines.d/a.toml": "interface = \"eth0\"\nusername = \"u\"\npassword = \"tiger\"\n",
			"sys/class/net/eth0/type":     "1\n",
			"sys/class/net/eth0/ifindex":  "2\n",
			"sys/class/net/eth0/flags":    "0x1003\n",
			"sys/class/net/eth0/carrier":  "1\n",
			"sys/class/net/eth0/mtu":      "1508\n",
		}),
	},
	"nobody": {
		remark: "the same, but this is not root",
		files:  with(debian, map[string]string{"proc/self/status": "CapEff:\t0000000000000000\n"}),
		denied: []string{"etc/linebond/lines.d/a.toml", "etc/linebond/lines.d/b.toml"},
	},
	"bad": {
		remark: "a container on a cloud kernel, without the right to do much",
		files: with(base, map[string]string{
			"proc/sys/kernel/osrelease": "6.1.0-56-cloud-amd64\n", "run/.containerenv": "",
			"proc/modules":                                "sch_fq_codel 20480 0 - Live 0x0\n",
			"proc/sys/net/ipv4/conf/all/rp_filter":        "1\n",
			"proc/sys/net/ipv6/conf/default/disable_ipv6": "1\n",
			"proc/self/status":                            "CapEff:\t0000000000001000\n",
			"etc/linebond/linebond.toml":                  "[bond]\nmode = \"teql\"\n[lan]\ninterfaces = [\"eth0\"]\n",
			"etc/linebond/lines.d/a.toml":                 "interface = \"eth1\"\nvlan = 101\nusername = \"u\"\npassword = \"tiger\"\n",
			"etc/linebond/lines.d/c.toml":                 "interface = \"eth2\"\nmtu = 9000\nusername = \"u\"\npassword = \"tiger\"\n",
		}),
		fails: map[string]error{
			"namespace": errors.New("making a network namespace: operation not permitted"),
			"ebpf":      errors.New("loading the eBPF data path: operation not permitted"),
			"writable":  errors.New("read-only file system"),
		},
	},
	"crowded": {
		remark: "Debian's cloud kernel, and all that may be in the way of a line",
		files: with(debian, map[string]string{
			"proc/sys/kernel/osrelease":                    "6.1.0-56-cloud-amd64\n",
			"lib/modules/6.1.0-56-cloud-amd64/modules.dep": "kernel/net/sched/sch_cake.ko.xz:\nkernel/net/netfilter/nf_tables.ko.xz:\nkernel/net/netfilter/nft_ct.ko.xz:\n",
			"etc/linebond/lines.d/b.toml":                  "interface = \"eth9\"\nusername = \"u\"\npassword = \"tiger\"\n",
			"etc/linebond/lines.d/d.toml":                  "interface = \"eth2\"\nenabled = false\nusername = \"u\"\npassword = \"tiger\"\n",
			"etc/linebond/lines.d/e.toml":                  "interface = \"eth0\"\ndataplane = \"ebpf\"\nusername = \"u\"\npassword = \"tiger\"\n",
			"etc/linebond/linebond.toml":                   "[log]\nto = \"stderr\"\n[bond]\nmode = \"teql\"\n",
			"sys/class/net/eth0/ifindex":                   "2\n",
			"sys/class/net/eth0/flags":                     "0x1003\n",
			"sys/class/net/eth0/carrier":                   "1\n",
			"sys/class/net/eth0/mtu":                       "9000\n",
			"sys/class/net/eth1/mtu":                       "1500\n",
			"sys/class/net/eth1/carrier":                   "0\n",
			"sys/class/net/eth2/device/bInterfaceNumber":   "00\n",
			"run/NetworkManager/devices/4":                 "[device]\nmanaged=true\n",
			"proc/701/comm":                                "systemd-network\n",
			"proc/701/cmdline":                             "/lib/systemd/systemd-networkd\x00",
			"proc/702/comm":                                "ModemManager\n",
			"proc/702/cmdline":                             "/usr/sbin/ModemManager\x00",
			"proc/703/comm":                                "pppd\n",
			"proc/703/cmdline":                             "/usr/sbin/pppd\x00call\x00dsl\x00",
			"proc/704/comm":                                "pppd\n",
			"proc/704/cmdline":                             "/usr/sbin/pppd\x00plugin\x00rp-pppoe.so\x00nic-eth1.101\x00",
			"proc/900/cmdline":                             "linebond\x00doctor\x00",
			"proc/net/pppoe":                               "Id       Address              Device\n00000001 02:00:00:00:00:09       eth2\n",
		}),
	},
}

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	if err = errors.Join(err, w.Close()); err != nil {
		panic(err)
	}
	return b.String()
}

// TestText: what a person reads, whole, for machines of several kinds.
func TestText(t *testing.T) {
	for name, m := range machines {
		m.asked = map[string]bool{}
		report := m.examine()
		var b strings.Builder
		b.WriteString("# " + m.remark + "\n\n")
		if err := report.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "\n# linebond can run: %t\n", report.CanRun)
		text := b.String()
		if strings.Contains(text, "tiger") {
			t.Errorf("%s: a password was printed", name)
		}
		file := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if text != string(want) {
			t.Errorf("%s: the text is not that of %s (go test ./doctor -update):\n%s", name, file, text)
		}
	}
}

// TestLoadsNothing: no probe asks for what the kernel would have to load.
func TestLoadsNothing(t *testing.T) {
	idle := with(debian, map[string]string{"proc/modules": ""})
	delete(idle, "proc/net/pppoe")
	for name, c := range map[string]struct {
		files        map[string]string
		never, asked []string
	}{
		"nothing loaded": {
			idle, []string{"pppoe", "vlan", "veth", "clsact", "qdisc cake", "qdisc netem", "table filter drop", "table filter accept", "table nat masquerade"},
			[]string{"ebpf", "tcx", "multipath", "qdisc fq_codel"},
		},
		"in part": {debian, []string{"vlan", "qdisc cake", "table nat masquerade"}, []string{"pppoe", "veth", "table filter drop"}},
		"NAT loaded in part": {
			with(debian, map[string]string{"proc/modules": "nf_tables 1 0\nnft_masq 1 0\nnf_nat 1 0\nnf_conntrack 1 0\n"}),
			[]string{"table nat masquerade"}, []string{"table filter drop"},
		},
		"NAT loaded": {
			with(debian, map[string]string{"proc/modules": "nf_tables 1 0\nnft_masq 1 0\nnf_nat 1 0\nnf_conntrack 1 0\nnft_chain_nat 1 0\n"}),
			nil, []string{"table nat masquerade"},
		},
		"sealed":     {with(debian, map[string]string{"proc/sys/kernel/modules_disabled": "1\n"}), []string{"vlan", "qdisc cake"}, []string{"pppoe"}},
		"no modules": {with(base, map[string]string{"proc/sys/kernel/osrelease": "6.5.1"}), []string{"pppoe", "vlan"}, []string{"veth", "qdisc cake", "clsact"}},
		"a container on a kernel with modules": {
			with(base, map[string]string{"proc/sys/kernel/osrelease": "6.5.1", "proc/modules": "veth 1 0\n", "run/.containerenv": ""}),
			[]string{"pppoe", "vlan", "qdisc cake"}, []string{"veth"},
		},
		"not root": {
			with(debian, map[string]string{"proc/self/status": "CapEff:\t0\n"}),
			[]string{"namespace", "pppoe", "ebpf", "tcx", "veth", "multipath"}, nil,
		},
	} {
		m := machine{files: c.files, asked: map[string]bool{}, fails: map[string]error{"tcx": errors.ErrUnsupported}}
		m.examine()
		for _, probe := range c.never {
			if m.asked[probe] {
				t.Errorf("%s: %s was tried", name, probe)
			}
		}
		for _, probe := range c.asked {
			if !m.asked[probe] {
				t.Errorf("%s: %s was not tried", name, probe)
			}
		}
	}
}

// TestJSON: the structure, by the names that programs rely on.
func TestJSON(t *testing.T) {
	m := machines["debian"]
	m.asked = map[string]bool{}
	var b bytes.Buffer
	if err := m.examine().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var report struct {
		Kernel    string
		Container *bool
		Root      bool
		CanRun    bool `json:"can_run"`
		Lines     []struct{ Name, Dataplane, Reason string }
		BondModes []struct {
			Mode   string
			Usable bool
			By     string
		} `json:"bond_modes"`
		Groups []struct {
			ID, Title string
			Findings  []struct{ ID, Name, Level, Detail, Remedy string }
		}
	}
	decoder := json.NewDecoder(&b)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&report); err != nil {
		t.Fatal(err)
	}
	if report.Kernel != "6.1.0-56-amd64" || report.Container == nil || !report.Root || !report.CanRun || len(report.Lines) != 2 ||
		report.Lines[0].Dataplane != "kernel" || len(report.BondModes) != 3 || report.BondModes[2].By != "ebpf" || !report.BondModes[0].Usable {
		t.Errorf("%+v", report)
	}
	ids := map[string]bool{}
	for _, g := range report.Groups {
		for _, f := range g.Findings {
			id := g.ID + "/" + f.ID
			if ids[id] || f.ID == "" || f.Name == "" || f.Level == "" || f.Detail == "" {
				t.Errorf("%s: %+v", id, f)
			}
			ids[id] = true
		}
	}
	for _, id := range []string{"kernel/pppoe", "nftables/nft_masq", "host/rp_filter", "configuration/files", "line.a/mtu", "verdict/line.a", "verdict/bond.teql"} {
		if !ids[id] {
			t.Errorf("there is no %s", id)
		}
	}
}
