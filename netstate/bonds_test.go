package netstate

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// bonded is a bond of two lines in full work.
func bonded() State {
	return State{
		Links: []Link{
			{Name: "ppp-a", Line: true, Up: true, MTU: 1492, TxQueue: 100},
			{Name: "ppp-b", Line: true, Up: true, MTU: 1480, TxQueue: 100},
			{Name: "teql0", Bond: true, Ours: true, Up: true, MTU: 1480, TxQueue: 1000},
		},
		Addresses: []Address{testAddress("teql0", "203.0.113.10/32")},
		Routes:    []Route{{Destination: DefaultIPv4, Device: "teql0", Metric: 100}},
		Sysctls:   []Sysctl{{"net/ipv4/conf/teql0/rp_filter", "2"}},
		Qdiscs:    []Qdisc{{"ppp-a", "teql0"}, {"ppp-b", "teql0"}},
		Table:     &Table{Chains: []Chain{{Name: "input", Type: "filter", Hook: "input"}}},
	}
}

// beforeBond is what bonded begins with: lines as they are made, a bond as it is born, and no table.
func beforeBond() State {
	return State{
		Links:   []Link{{Name: "ppp-a", MTU: 1500}, {Name: "ppp-b", MTU: 1500}, bornBond("teql0")},
		Sysctls: []Sysctl{{"net/ipv4/conf/teql0/rp_filter", "1"}},
	}
}

func TestDiffBonds(t *testing.T) {
	withoutLines := bonded().with(func(s *State) { s.Links, s.Qdiscs, s.Routes = s.Links[2:], nil, nil })
	tests := []struct {
		name       string
		want, have State
		ops        []string
	}{
		{name: "all as it should be", want: bonded(), have: bonded()},
		{
			name: "everything at once, in order: the least MTU joins first, and the bond gets it by that",
			want: bonded(), have: beforeBond(),
			ops: []string{
				"ip link set dev teql0 alias linebond",
				"nft -f - # replaces table inet linebond",
				"sysctl -w net/ipv4/conf/teql0/rp_filter=2",
				"ip link set dev ppp-a mtu 1492",
				"ip link set dev ppp-a txqueuelen 100",
				"ip link set dev ppp-b mtu 1480",
				"ip link set dev ppp-b txqueuelen 100",
				"ip link set dev teql0 txqueuelen 1000",
				"ip link set dev ppp-a up",
				"ip link set dev ppp-b up",
				"tc qdisc replace dev ppp-b root teql0",
				"tc qdisc replace dev ppp-a root teql0",
				"ip link set dev teql0 up",
				"ip address replace 203.0.113.10/32 dev teql0",
				"ip route append default dev teql0 proto 108 metric 100",
			},
		},
		{
			name: "bonds that the kernel does not have are loaded, and that is all for now",
			want: bonded().with(func(s *State) { s.Links = append(s.Links, Link{Name: "teql3", Bond: true}) }),
			have: bonded().with(func(s *State) { s.Links, s.Addresses, s.Routes, s.Sysctls, s.Qdiscs = s.Links[:2], nil, nil, nil, nil }),
			ops:  []string{"modprobe sch_teql max_equalizers=4"},
		},
		{
			name: "another's device with a bond's name is none",
			want: bonded(),
			have: bonded().with(func(s *State) {
				s.Links[2] = Link{Name: "teql0", MTU: 9000}
				s.Addresses, s.Routes, s.Qdiscs = []Address{testAddress("teql0", "192.0.2.1/32")}, nil, nil
			}),
			ops: []string{"modprobe sch_teql max_equalizers=1"},
		},
		{
			name: "a line that is not there gets nothing",
			want: bonded(),
			have: bonded().with(func(s *State) { s.Links, s.Qdiscs = s.Links[1:], s.Qdiscs[1:] }),
		},
		{
			name: "no line is there: a bond that is up stays up, as it is; its route too",
			want: bonded().with(func(s *State) { s.Links[2].MTU = 1400 }),
			have: bonded().with(func(s *State) { s.Links, s.Qdiscs, s.Routes = s.Links[2:], nil, nil }),
			ops:  []string{"ip route append default dev teql0 proto 108 metric 100"},
		},
		{
			name: "one that is down cannot come up, and its route waits",
			want: bonded(),
			have: withoutLines.with(func(s *State) { s.Links[0].Up = false; s.Links[0].MTU = 1500 }),
		},
		{
			name: "someone set the bond down: the kernel has flushed its routes",
			want: bonded(),
			have: bonded().with(func(s *State) { s.Links[2].Up, s.Routes = false, nil }),
			ops:  []string{"ip link set dev teql0 up", "ip route append default dev teql0 proto 108 metric 100"},
		},
		{
			name: "a line with a smaller MTU joins: the bond is lowered before",
			want: bonded(),
			have: bonded().with(func(s *State) { s.Qdiscs, s.Links[2].MTU = s.Qdiscs[:1], 1492 }),
			ops:  []string{"ip link set dev teql0 mtu 1480", "tc qdisc replace dev ppp-b root teql0"},
		},
		{
			name: "the line with the least MTU goes: first of all it leaves, at last the bond is raised",
			want: bonded().with(func(s *State) { s.Qdiscs, s.Links[2].MTU = s.Qdiscs[:1], 1492 }),
			have: bonded().with(func(s *State) { s.Links[0].TxQueue = 3 }),
			ops: []string{
				"tc qdisc delete dev ppp-b root",
				"ip link set dev ppp-a txqueuelen 100",
				"ip link set dev teql0 mtu 1492",
			},
		},
		{
			name: "the only line is replaced by another: the first join sets the MTU",
			want: bonded().with(func(s *State) { s.Qdiscs, s.Links[2].MTU = s.Qdiscs[:1], 1492 }),
			have: bonded().with(func(s *State) { s.Qdiscs = s.Qdiscs[1:] }),
			ops:  []string{"tc qdisc delete dev ppp-b root", "tc qdisc replace dev ppp-a root teql0"},
		},
		{
			name: "or by one with a smaller MTU: likewise",
			want: bonded().with(func(s *State) { s.Qdiscs = s.Qdiscs[1:] }),
			have: bonded().with(func(s *State) { s.Qdiscs, s.Links[2].MTU = s.Qdiscs[:1], 1492 }),
			ops:  []string{"tc qdisc delete dev ppp-a root", "tc qdisc replace dev ppp-b root teql0"},
		},
		{
			name: "a line with a smaller MTU joins a bond that is down, and so lowers it",
			want: bonded().with(func(s *State) { s.Links[2].Up, s.Routes = false, nil }),
			have: bonded().with(func(s *State) {
				s.Qdiscs, s.Links[2].Up, s.Links[2].MTU, s.Routes = s.Qdiscs[:1], false, 1492, nil
			}),
			ops: []string{"tc qdisc replace dev ppp-b root teql0"},
		},
		{
			name: "a bond that is set up has the least MTU of its lines, and is lowered from there",
			want: bonded().with(func(s *State) { s.Links[2].MTU = 1400 }),
			have: bonded().with(func(s *State) { s.Links[2].Up, s.Links[2].MTU = false, 1400 }),
			ops:  []string{"ip link set dev teql0 up", "ip link set dev teql0 mtu 1400"},
		},
		{
			name: "an MTU above the lines' is not asked for",
			want: bonded().with(func(s *State) { s.Links[2].MTU = 1492 }), have: bonded(),
		},
		{
			name: "without a wish the MTU follows where it must, and only there",
			want: bonded().with(func(s *State) { s.Links[2].MTU, s.Links[0].MTU, s.Links[1].MTU = 0, 1470, 1500 }),
			have: bonded(),
			ops: []string{
				"ip link set dev ppp-a mtu 1470",
				"ip link set dev ppp-b mtu 1500",
				"ip link set dev teql0 mtu 1470",
			},
		},
		{
			name: "without a wish MTU and queue are as they are",
			want: bonded().with(func(s *State) { s.Links[2].MTU, s.Links[2].TxQueue = 0, 0 }),
			have: bonded().with(func(s *State) { s.Links[2].MTU = 1400 }),
		},
		{
			name: "a bond that someone else used is taken over with all that is on it",
			want: bonded(),
			have: bonded().with(func(s *State) {
				s.Links[2].Ours = false
				s.Qdiscs = append(s.Qdiscs, Qdisc{"eth9", "teql0"})
				s.Addresses = append(s.Addresses, testAddress("teql0", "192.0.2.1/32"))
			}),
			ops: []string{
				"tc qdisc delete dev eth9 root",
				"ip link set dev teql0 alias linebond",
				"ip address delete 192.0.2.1/32 dev teql0",
			},
		},
		{
			name: "a bond takes another's place: its route is there before the other's goes",
			want: State{
				Links:     []Link{{Name: "teql1", Bond: true, Ours: true, Up: true}},
				Addresses: []Address{testAddress("teql1", "203.0.113.10/32")},
				Routes:    []Route{{Destination: DefaultIPv4, Device: "teql1", Metric: 100}},
			},
			have: bonded().with(func(s *State) {
				s.Links, s.Qdiscs, s.Table = append(s.Links[2:], Link{Name: "teql1", Bond: true, Ours: true, Up: true}), nil, nil
			}),
			ops: []string{
				"ip address replace 203.0.113.10/32 dev teql1",
				"ip route append default dev teql1 proto 108 metric 100",
				"ip route delete default dev teql0 proto 108 metric 100",
				"ip address delete 203.0.113.10/32 dev teql0",
				"ip link set dev teql0 down mtu 1500 txqueuelen 100 alias ''",
			},
		},
		{
			name: "a line moves to another bond, another has left the configuration, a third is in a bond of someone else",
			want: bonded().with(func(s *State) {
				s.Links = append(s.Links, Link{Name: "ppp-d", Line: true}, Link{Name: "teql1", Bond: true, Ours: true, Up: true, MTU: 1492})
				s.Qdiscs[0].Kind = "teql1"
			}),
			have: bonded().with(func(s *State) {
				s.Links = append(s.Links, Link{Name: "ppp-d"}, Link{Name: "teql1", Bond: true, MTU: 1500})
				s.Qdiscs = append(s.Qdiscs, Qdisc{"ppp-c", "teql0"}, Qdisc{"ppp-d", "teql7"}, Qdisc{"eth9", "teql7"})
			}),
			ops: []string{
				"tc qdisc delete dev ppp-a root",
				"tc qdisc delete dev ppp-c root",
				"tc qdisc delete dev ppp-d root",
				"ip link set dev teql1 alias linebond",
				"tc qdisc replace dev ppp-a root teql1",
				"ip link set dev teql1 up",
			},
		},
		{
			name: "addresses beyond the wanted ones go, but for IPv6 link-local",
			want: bonded(),
			have: bonded().with(func(s *State) {
				s.Addresses = append(s.Addresses, testAddress("teql0", "169.254.7.7/16"), testAddress("teql0", "2001:db8::1/64"),
					testAddress("teql0", "fe80::1/64"))
			}),
			ops: []string{"ip address delete 169.254.7.7/16 dev teql0", "ip address delete 2001:db8::1/64 dev teql0"},
		},
		{
			name: "or stay, when they are to",
			want: bonded().with(func(s *State) {
				s.Links[2].KeepAddresses, s.Addresses = true, []Address{testAddress("teql0", "203.0.113.9/32")}
			}),
			have: bonded(),
			ops:  []string{"ip address replace 203.0.113.9/32 dev teql0"},
		},
		{
			name: "the wrong address is first: the others make room, and no route is lost",
			want: bonded().with(func(s *State) {
				s.Addresses = append(s.Addresses, first("teql0", "203.0.113.200/32"), testAddress("teql0", "203.0.113.201/32"))
			}),
			have: bonded().with(func(s *State) {
				s.Addresses = []Address{testAddress("teql0", "203.0.113.200/32"), first("teql0", "203.0.113.10/32"),
					testAddress("teql0", "203.0.113.7/32")}
			}),
			ops: []string{
				"ip address delete 203.0.113.10/32 dev teql0",
				"ip address replace 203.0.113.10/32 dev teql0",
				"ip address replace 203.0.113.201/32 dev teql0",
				"ip address delete 203.0.113.7/32 dev teql0",
			},
		},
		{
			name: "the first one is missing: it is there before the others make room",
			want: bonded().with(func(s *State) { s.Addresses = append(s.Addresses, first("teql0", "203.0.113.200/32")) }),
			have: bonded().with(func(s *State) { s.Addresses = []Address{first("teql0", "203.0.113.10/32")} }),
			ops: []string{
				"ip address replace 203.0.113.200/32 dev teql0",
				"ip address delete 203.0.113.10/32 dev teql0",
				"ip address replace 203.0.113.10/32 dev teql0",
			},
		},
		{
			name: "the first one is missing, and will be secondary to one that makes room: the routes are flushed",
			want: bonded().with(func(s *State) {
				s.Addresses = []Address{first("teql0", "192.0.2.10/29"), testAddress("teql0", "192.0.2.9/29")}
			}),
			have: bonded().with(func(s *State) { s.Addresses = []Address{first("teql0", "192.0.2.9/29")} }),
			ops: []string{
				"ip address delete 192.0.2.9/29 dev teql0",
				"ip address replace 192.0.2.10/29 dev teql0",
				"ip address replace 192.0.2.9/29 dev teql0",
				"ip route append default dev teql0 proto 108 metric 100",
			},
		},
		{
			name: "addresses that are kept make room as well",
			want: bonded().with(func(s *State) {
				s.Links[2].KeepAddresses, s.Addresses = true, []Address{first("teql0", "203.0.113.200/32")}
			}),
			have: bonded().with(func(s *State) { s.Addresses[0].First = true }),
			ops: []string{
				"ip address replace 203.0.113.200/32 dev teql0",
				"ip address delete 203.0.113.10/32 dev teql0",
				"ip address replace 203.0.113.10/32 dev teql0",
			},
		},
		{
			name: "which one is first is nothing to us where none is wanted to be",
			want: bonded().with(func(s *State) { s.Addresses = append(s.Addresses, testAddress("teql0", "203.0.113.200/32")) }),
			have: bonded().with(func(s *State) { s.Addresses = append(s.Addresses, first("teql0", "203.0.113.200/32")) }),
		},
		{
			name: "on an empty bond the first one is added first",
			want: bonded().with(func(s *State) { s.Addresses = append(s.Addresses, first("teql0", "203.0.113.200/32")) }),
			have: bonded().with(func(s *State) { s.Addresses = nil }),
			ops: []string{
				"ip address replace 203.0.113.200/32 dev teql0",
				"ip address replace 203.0.113.10/32 dev teql0",
			},
		},
		{
			name: "no address, but a route: it is added again, because it goes with the last address",
			want: bonded().with(func(s *State) { s.Addresses = nil }), have: bonded(),
			ops: []string{
				"ip address delete 203.0.113.10/32 dev teql0",
				"ip route append default dev teql0 proto 108 metric 100",
			},
		},
		{
			name: "a table that someone changed",
			want: bonded(),
			have: bonded().with(func(s *State) {
				s.Table = &Table{Chains: []Chain{{Name: "input", Type: "filter", Hook: "input", Rules: []Rule{{Comment: "not of linebond"}}}}}
			}),
			ops: []string{"nft -f - # replaces table inet linebond"},
		},
		{
			name: "the end, or the cleanup after a crash: all that is ours, and nothing else",
			have: bonded().with(func(s *State) {
				s.Links = append(s.Links, Link{Name: "teql5", Bond: true, Up: true}, ethernet("eth1", []uint16{101}, Dot1Q, 0)[1])
				s.Qdiscs = append(s.Qdiscs, Qdisc{"eth9", "teql5"})
				s.Addresses = append(s.Addresses, testAddress("teql5", "192.0.2.1/32"), testAddress("teql0", "fe80::1/64"))
			}),
			ops: []string{
				"tc qdisc delete dev ppp-a root",
				"tc qdisc delete dev ppp-b root",
				"ip route delete default dev teql0 proto 108 metric 100",
				"ip address delete 203.0.113.10/32 dev teql0",
				"ip link delete dev eth1.101",
				"ip link set dev teql0 down mtu 1500 txqueuelen 100 alias ''",
				"nft delete table inet linebond",
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, op := range Diff(test.want, test.have) {
				got = append(got, op.String())
			}
			if diff := cmp.Diff(test.ops, got); diff != "" {
				t.Errorf("operations (-want +got):\n%s", diff)
			}
		})
	}
}

// A route waits for any device, not for bonds alone; also for one that is remade.
func TestRouteWaitsForItsDevice(t *testing.T) {
	vlan := func(id uint16) Link {
		return Link{Name: "v", Ours: true, VLAN: VLAN{Parent: "eth1", ID: id, Protocol: Dot1Q}}
	}
	want := State{
		Links:  []Link{{Name: "eth1"}, {Name: "ppp-a", Line: true}, vlan(7)},
		Routes: []Route{{Destination: DefaultIPv4, Device: "ppp-a"}, {Destination: DefaultIPv4, Device: "v"}},
	}
	remade := vlan(8)
	remade.Up = true
	for _, op := range Diff(want, State{Links: []Link{{Name: "eth1", Up: true}, {Name: "ppp-a", MTU: 1500}, remade}}) {
		if _, add := op.(AddRoute); add {
			t.Errorf("%s: the device is down", op)
		}
	}
}

func TestMergedBond(t *testing.T) {
	a := Link{Name: "teql0", Bond: true, Ours: true, MTU: 1480, TxQueue: 100}
	b := Link{Name: "teql0", Up: true, TxQueue: 1000, KeepAddresses: true}
	want := Link{Name: "teql0", Bond: true, Ours: true, Up: true, MTU: 1480, TxQueue: 1000, KeepAddresses: true}
	for _, links := range [][]Link{{a, b}, {b, a}} {
		if got := (State{Links: links}).normal().Links; !slices.Equal(got, []Link{want}) {
			t.Errorf("%v become %v, want %v", links, got, want)
		}
	}
}

func first(device, prefix string) Address {
	a := testAddress(device, prefix)
	a.First = true
	return a
}
