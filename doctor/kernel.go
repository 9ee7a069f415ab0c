package doctor

import (
	"fmt"
	"net/netip"
	"strings"

	"linebond/netstate"
)

// privileged is the remedy for what only root may look at.
func (e *examination) privileged() string { return "sudo " + e.subject.Command("doctor") }

// The parts of the kernel for lines and bonds.
var (
	pppoe = part{
		id: "pppoe", name: "PPPoE", module: "pppoe", symbol: "CONFIG_PPPOE", evidence: "proc/net/pppoe", here: true,
		purpose: `lines of dataplane = "kernel" need it; others can do with eBPF`,
	}
	vlan = part{
		id: "vlan", name: "VLAN devices", module: "8021q", symbol: "CONFIG_VLAN_8021Q", evidence: "proc/net/vlan/config", here: true, try: Probes.VLAN,
		purpose: "with the kernel's PPPoE, lines with vlan need it; eBPF writes the tags itself",
	}
	teql = part{
		id: "teql", name: "TEQL", module: "sch_teql", symbol: "CONFIG_NET_SCH_TEQL", evidence: "sys/module/sch_teql",
		purpose: `bonds of mode = "teql" need it`,
	}
	veth = part{
		id: "veth", name: "veth", module: "veth", symbol: "CONFIG_VETH", try: Probes.Veth,
		purpose: "eBPF lines and `linebond lab` need it",
	}
	clsact = part{
		id: "clsact", name: "clsact", module: "sch_ingress", symbol: "CONFIG_NET_SCH_INGRESS",
		purpose: "eBPF programs are attached there before Linux 6.6",
	}
	clsBPF = part{id: "cls_bpf", name: "tc filter bpf", module: "cls_bpf", symbol: "CONFIG_NET_CLS_BPF", purpose: clsact.purpose}
)

// kernel looks at what lines and bonds are made of.
func (e *examination) kernel() Group {
	title := "Kernel " + e.system.release
	if e.system.pretty != "" {
		title += ", " + e.system.pretty
	}
	if e.system.container {
		title += ", in a container"
	}
	g := Group{ID: "kernel", Title: title}
	g.add(e.pppoe(), e.pppDevice(), e.part(vlan), e.bpf(), e.attach(), e.part(veth), e.scheduler(), e.part(teql), e.multipath(), e.namespaces())
	for _, q := range []struct{ kind, purpose string }{
		{"cake", "it would keep the queue before a bond short"},
		{"fq_codel", "it would keep queues short and fair"},
		{"netem", "tests of lines with delay and loss use it"},
	} {
		g.add(e.part(part{
			id: q.kind, name: q.kind, module: "sch_" + q.kind, symbol: "CONFIG_NET_SCH_" + strings.ToUpper(q.kind), purpose: q.purpose + "; linebond runs without",
			try: func(p Probes) error { return p.Qdisc(q.kind) },
		}))
	}
	return g
}

// add appends findings, without those that say nothing.
func (g *Group) add(findings ...Finding) {
	for _, f := range findings {
		if f.Level != "" {
			g.Findings = append(g.Findings, f)
		}
	}
}

// pppoe looks for PPPoE. What it lacks besides the module is asked where /dev/ppp is there, too: of that, pppDevice says more.
func (e *examination) pppoe() Finding {
	p := pppoe
	if exists(e.Files, "dev/ppp") {
		p.try = Probes.PPPoE
	}
	return e.part(p)
}

// pppDevice looks for /dev/ppp, which comes with the module, but not to a container.
func (e *examination) pppDevice() Finding {
	f := Finding{ID: "dev_ppp", Name: "/dev/ppp", Level: OK, Detail: "there"}
	switch {
	case e.found["pppoe"].Level != OK:
		return Finding{}
	case exists(e.Files, "dev/ppp"):
	case e.system.container:
		f.Level, f.Detail, f.Remedy = Missing, "not in this container", "start the container with it: docker run --device /dev/ppp --cap-add NET_ADMIN --cap-add NET_RAW"
	case e.system.module(pppoe.module, pppoe.symbol, pppoe.evidence) == loadable:
		f.Detail = "comes with the module"
	default:
		f.Level, f.Detail, f.Remedy = Missing, "no such file", "mknod /dev/ppp c 108 0 && chmod 600 /dev/ppp"
	}
	e.found[f.ID] = f
	return f
}

// bpf looks whether the data path's programs can be loaded.
func (e *examination) bpf() Finding {
	const purpose = `lines of dataplane = "ebpf" need it`
	f := Finding{ID: "ebpf", Name: "eBPF", Level: OK, Detail: "the data path's programs load"}
	switch {
	case !exists(e.Files, "proc/sys/kernel/unprivileged_bpf_disabled"):
		f.miss("not in this kernel (CONFIG_BPF_SYSCALL)", purpose, e.system.remedy(part{symbol: "CONFIG_BPF_SYSCALL"}))
	case !e.system.root():
		f.Level, f.Detail, f.Remedy = Unknown, "the system call is there; root alone may load programs", e.privileged()
	default:
		if err := e.Probes.EBPF(); err != nil {
			f.miss(oneLine(err), purpose, "")
		} else if text(e.Files, "proc/sys/net/core/bpf_jit_enable") == "0" {
			f.Level, f.Detail, f.Remedy = Warning, f.Detail+", but the kernel interprets them, which is slow", "sysctl net.core.bpf_jit_enable=1"
		}
	}
	e.found[f.ID] = f
	return f
}

// attach looks in which way programs can be attached: tcx from Linux 6.6 on, else a tc filter.
func (e *examination) attach() Finding {
	f := Finding{ID: "ebpf_attach", Name: "eBPF attached", Level: OK, Detail: "by tcx"}
	switch {
	case e.found["ebpf"].Level == Missing:
		return Finding{}
	case e.tries && e.Probes.TCX() == nil:
	case !e.tries && e.system.since(6, 6):
		f.Detail = "by tcx, going by the kernel's version"
	default:
		f = e.filter(f)
	}
	e.found[f.ID] = f
	return f
}

// filter looks for what the tc filter needs.
func (e *examination) filter(f Finding) Finding {
	both := clsact
	both.also = []string{clsBPF.module}
	both.try = Probes.Clsact
	found := e.part(both)
	if tried := e.tries && e.system.quiet(both); found.Level == OK && !tried {
		found = e.part(clsBPF)
	}
	if found.Level != OK {
		f.Level, f.Detail, f.Remedy, f.lack = found.Level, found.Detail, found.Remedy, found.lack
		return f
	}
	f.Detail = "by a tc filter (clsact)"
	return f
}

// since says whether the kernel is of this version or a later one. One that cannot be read is not.
func (s *system) since(major, minor int) bool {
	var a, b int
	n, _ := fmt.Sscanf(s.release, "%d.%d", &a, &b)
	return n == 2 && (a > major || a == major && b >= minor)
}

// multipath looks for routes of several hops, which are never a module.
func (e *examination) multipath() Finding {
	return e.part(part{
		id: "multipath", name: "multipath routes", symbol: "CONFIG_IP_ROUTE_MULTIPATH", try: Probes.Multipath,
		purpose: "a route over several lines needs them",
	})
}

// namespaces looks for network namespaces.
func (e *examination) namespaces() Finding {
	f := Finding{ID: "netns", Name: "network namespaces", Level: OK, Detail: "there"}
	switch {
	case !exists(e.Files, "proc/self/ns/net"):
		f.miss("not in this kernel (CONFIG_NET_NS)", "`linebond lab` needs them", e.system.remedy(part{symbol: "CONFIG_NET_NS"}))
	case !e.tries && !e.system.root():
		f.Detail = "there, for root"
	case !e.tries:
		f.Level, f.Detail = Warning, oneLine(e.Probes.Namespace())+": `linebond lab` needs to, and some of this could not be tried out"
		f.Remedy = e.allowed()
	}
	return f
}

// tables looks for the parts of nftables that our table uses.
func (e *examination) tables() Group {
	g := Group{ID: "nftables", Title: "nftables, for NAT, MSS clamping and the firewall"}
	loopback := []netstate.DeviceSet{{Name: "lan", Devices: []string{"lo"}}}
	address := netip.AddrFrom4([4]byte{192, 0, 2, 1})
	for _, p := range []struct {
		id, name, module, symbol string
		kind, hook               string
		priority                 int
		rule                     netstate.Rule
	}{
		{"nft_inet", "tables inet", "nf_tables", "CONFIG_NF_TABLES", "filter", "input", 0, netstate.Rule{In: "lan", Verdict: netstate.Drop}},
		{"nft_mss", "MSS clamping", "nf_tables", "CONFIG_NF_TABLES", "filter", "forward", -150,
			netstate.Rule{Protocol: "tcp", SYN: true, Verdict: netstate.ClampMSS}},
		{"nft_ct", "connection tracking", "nft_ct", "CONFIG_NFT_CT", "filter", "forward", 0,
			netstate.Rule{Connection: netstate.Established, Verdict: netstate.Accept}},
		{"nft_masq", "masquerade", "nft_masq", "CONFIG_NFT_MASQ", "nat", "postrouting", 100,
			netstate.Rule{Family: 4, In: "lan", Verdict: netstate.Masquerade}},
		{"nft_nat", "SNAT and DNAT", "nft_nat", "CONFIG_NFT_NAT", "nat", "postrouting", 100,
			netstate.Rule{Family: 4, Verdict: netstate.SNAT, To: address}},
		{"nft_numgen", "numgen", "nft_numgen", "CONFIG_NFT_NUMGEN", "filter", "prerouting", -150,
			netstate.Rule{Turns: netstate.Turns{First: 1, Of: 2}, Verdict: netstate.MarkAndAccept, Mark: netstate.Mark{Value: 1, Mask: 1}}},
	} {
		chain := netstate.Chain{Name: p.hook, Type: p.kind, Hook: p.hook, Priority: p.priority, Rules: []netstate.Rule{p.rule}}
		probe := part{
			id: p.id, name: p.name, module: p.module, symbol: p.symbol, also: []string{"nf_tables"},
			purpose: "[lan], [[forward]] and firewall need it",
			try: func(probes Probes) error {
				return probes.Table(netstate.Table{Sets: loopback, Chains: []netstate.Chain{chain}})
			},
		}
		if p.rule.Turns != (netstate.Turns{}) {
			probe.purpose = `bonds of mode = "weighted" need it where eBPF cannot be had`
		}
		if p.kind == "nat" {
			probe.also = append(probe.also, "nft_chain_nat", "nf_nat", "nf_conntrack")
		}
		g.add(e.part(probe))
	}
	return g
}
