package ipcp_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linebond/ipcp"
	"linebond/ppp"
	"linebond/ppp/ppptest"
)

var (
	local  = netip.MustParseAddr("10.0.0.1")
	remote = netip.MustParseAddr("100.64.3.7")
	dns1   = netip.MustParseAddr("9.9.9.9")
	dns2   = netip.MustParseAddr("149.112.112.112")
	none   = netip.Addr{}

	addrs = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
)

func parse(t *testing.T, b []byte) []ppp.Option {
	t.Helper()
	opts, err := ppp.ParseOptions(b)
	if err != nil {
		t.Fatal(err)
	}
	return opts
}

// wire is the wire form of options.
func wire(opts []ppp.Option) []byte { return ppp.AppendOptions(nil, opts...) }

// anything is what a fresh client asks for.
var anything = []byte{
	0x03, 0x06, 0, 0, 0, 0, // IP-Address: any
	0x81, 0x06, 0, 0, 0, 0, // Primary DNS: any
	0x83, 0x06, 0, 0, 0, 0, // Secondary DNS: any
}

// assigned is what the server of these tests hands out.
var assigned = []byte{
	0x03, 0x06, 100, 64, 3, 7, // IP-Address
	0x81, 0x06, 9, 9, 9, 9, // Primary DNS
	0x83, 0x06, 149, 112, 112, 112, // Secondary DNS
}

func TestClientRequest(t *testing.T) {
	c := ipcp.NewClient()
	if d := cmp.Diff(anything, wire(c.Request(nil))); d != "" {
		t.Error(d)
	}
	c.Nak(parse(t, assigned))
	if d := cmp.Diff(assigned, wire(c.Request(nil))); d != "" {
		t.Error(d)
	}
	c.Reject(parse(t, assigned[12:]))
	if d := cmp.Diff(assigned[:12], wire(c.Request(nil))); d != "" {
		t.Error(d)
	}
	c.Reset()
	if d := cmp.Diff(anything, wire(c.Request(nil))); d != "" {
		t.Error(d)
	}
}

// TestClientObtains: what the client holds after Naks and Rejects in turn.
func TestClientObtains(t *testing.T) {
	tests := []struct {
		name       string
		nak        []byte
		reject     []byte
		nakAgain   []byte
		address    netip.Addr
		nameserver []netip.Addr
	}{
		{name: "nothing", address: none},
		{name: "all", nak: assigned, address: remote, nameserver: []netip.Addr{dns1, dns2}},
		{name: "address alone", nak: assigned[:6], address: remote},
		{
			name: "0.0.0.0 is none", nak: anything, address: none,
		},
		{
			name: "secondary DNS alone",
			nak: []byte{
				0x81, 0x06, 0, 0, 0, 0, // Primary DNS: none
				0x83, 0x06, 9, 9, 9, 9, // Secondary DNS
			},
			address: none, nameserver: []netip.Addr{dns1},
		},
		{
			name: "wrong length, unknown type",
			nak: []byte{
				0x03, 0x05, 100, 64, 3, // IP-Address of three bytes
				0x81, 0x07, 9, 9, 9, 9, 9, // Primary DNS of five
				0x82, 0x06, 9, 9, 9, 9, // Primary NBNS
			},
			address: none,
		},
		{
			name: "DNS named, then rejected", nak: assigned, reject: assigned[6:], address: remote,
		},
		{
			name: "address named, then rejected", nak: assigned, reject: assigned[:6],
			address: none, nameserver: []netip.Addr{dns1, dns2},
		},
		{
			name: "rejected, then named: it was not asked for", reject: anything, nakAgain: assigned, address: none,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := ipcp.NewClient()
			c.Nak(parse(t, tt.nak))
			c.Reject(parse(t, tt.reject))
			c.Nak(parse(t, tt.nakAgain))
			if c.Address() != tt.address {
				t.Errorf("address %v, want %v", c.Address(), tt.address)
			}
			if d := cmp.Diff(tt.nameserver, c.DNS(), addrs); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	server := func(dns ...netip.Addr) *ipcp.Server { return &ipcp.Server{Local: local, Remote: remote, DNS: dns} }
	compression := []byte{
		0x02, 0x06, 0x00, 0x2d, 0x0f, 0x01, // IP-Compression-Protocol: Van Jacobson
	}
	tests := []struct {
		name     string
		policy   ppp.Policy
		in, want []byte
		code     ppp.Code
	}{
		{"client: the peer's address", ipcp.NewClient(), []byte{
			0x03, 0x06, 10, 0, 0, 1, // IP-Address
		}, nil, ppp.ConfigureAck},
		{"client: a peer without address", ipcp.NewClient(), nil, nil, ppp.ConfigureAck},
		{"client: cannot name one", ipcp.NewClient(), []byte{
			0x03, 0x06, 0, 0, 0, 0, // IP-Address: any
		}, []byte{
			0x03, 0x06, 0, 0, 0, 0, // IP-Address: any
		}, ppp.ConfigureReject},
		{"client: unknown options, bit for bit", ipcp.NewClient(), append([]byte{
			0x01, 0x0a, 1, 2, 3, 4, 5, 6, 7, 8, // IP-Addresses (obsolete)
			0x03, 0x06, 10, 0, 0, 1, // IP-Address
			0x81, 0x06, 0, 0, 0, 0, // Primary DNS: the peer asks us
			0x03, 0x04, 10, 0, // IP-Address of two bytes
		}, compression...), append([]byte{
			0x01, 0x0a, 1, 2, 3, 4, 5, 6, 7, 8, // IP-Addresses
			0x81, 0x06, 0, 0, 0, 0, // Primary DNS
			0x03, 0x04, 10, 0, // IP-Address of two bytes
		}, compression...), ppp.ConfigureReject},

		{"server: what it assigned", server(dns1, dns2), assigned, nil, ppp.ConfigureAck},
		{"server: address alone", server(dns1, dns2), assigned[:6], nil, ppp.ConfigureAck},
		{"server: anything", server(dns1, dns2), anything, assigned, ppp.ConfigureNak},
		{"server: another address", server(dns1, dns2), []byte{
			0x03, 0x06, 192, 0, 2, 1, // IP-Address
			0x81, 0x06, 9, 9, 9, 9, // Primary DNS
		}, assigned[:6], ppp.ConfigureNak},
		{"server: the address must be asked for", server(dns1, dns2), []byte{
			0x81, 0x06, 0, 0, 0, 0, // Primary DNS: any
		}, []byte{
			0x81, 0x06, 9, 9, 9, 9, // Primary DNS
			0x03, 0x06, 100, 64, 3, 7, // IP-Address
		}, ppp.ConfigureNak},
		{"server: without DNS", server(), anything, anything[6:], ppp.ConfigureReject},
		{"server: with one", server(dns1), anything, anything[12:], ppp.ConfigureReject},
		{"server: no address to give", &ipcp.Server{Local: local, DNS: []netip.Addr{dns1, dns2}}, anything, anything[:6], ppp.ConfigureReject},
		{"server: none asked for", &ipcp.Server{Local: local}, nil, nil, ppp.ConfigureAck},
		{"server: unknown options", server(dns1), append(assigned[:6:6], compression...), compression, ppp.ConfigureReject},
		{"server: wrong length", server(dns1), []byte{
			0x03, 0x05, 0, 0, 0, // IP-Address of three bytes
		}, []byte{
			0x03, 0x05, 0, 0, 0, // IP-Address of three bytes
		}, ppp.ConfigureReject},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, reply := tt.policy.Judge(parse(t, tt.in))
			if code != tt.code {
				t.Errorf("%v, want %v", code, tt.code)
			}
			if d := cmp.Diff(tt.want, wire(reply)); d != "" {
				t.Error(d)
			}
		})
	}
}

// The two sides as machines. Each has its policy's Reset, if there is one.
type (
	client struct {
		*ppp.Automaton
		*ipcp.Client
	}
	server struct {
		*ppp.Automaton
		*ipcp.Server
	}
)

func pair(s ipcp.Server) (client, server) {
	c := ipcp.NewClient()
	return client{ppp.New(c, ppp.DefaultTimes), c}, server{ppp.New(&s, ppp.DefaultTimes), &s}
}

// TestPeers: what a client comes to hold against servers of several kinds.
func TestPeers(t *testing.T) {
	tests := []struct {
		name   string
		server ipcp.Server
		peer   netip.Addr
	}{
		{"two DNS", ipcp.Server{Local: local, Remote: remote, DNS: []netip.Addr{dns1, dns2}}, local},
		{"one", ipcp.Server{Local: local, Remote: remote, DNS: []netip.Addr{dns1}}, local},
		{"none", ipcp.Server{Local: local, Remote: remote}, local},
		{"server that keeps its own to itself", ipcp.Server{Remote: remote}, none},
		{"server at 0.0.0.0", ipcp.Server{Local: netip.IPv4Unspecified(), Remote: remote}, none},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, s := pair(tt.server)
			w := ppptest.Wire{Delay: 10 * time.Millisecond}
			if err := w.Run(time.Minute, c, s); err != nil {
				t.Fatal(err)
			}
			if c.Address() != remote || c.Peer() != tt.peer {
				t.Errorf("address %v, peer %v", c.Address(), c.Peer())
			}
			if d := cmp.Diff(tt.server.DNS, c.DNS(), addrs); d != "" {
				t.Error(d)
			}
			if w.Now > 100*time.Millisecond {
				t.Errorf("took %v, at 20 ms the round trip", w.Now)
			}
			c.Client.Reset()
			if c.Address() != none || c.Peer() != none || c.DNS() != nil {
				t.Error("Reset did not forget")
			}
		})
	}
}

// TestAddressesOfNoHost: what cannot be a host's is not taken for an address.
func TestAddressesOfNoHost(t *testing.T) {
	for _, tt := range []struct {
		a    string
		host bool
	}{
		{"0.0.0.1", false}, {"0.255.255.255", false}, {"1.0.0.1", true},
		{"126.255.255.254", true}, {"127.0.0.1", false}, {"127.255.255.255", false}, {"128.0.0.1", true},
		{"169.254.1.1", true}, {"223.255.255.254", true},
		{"224.0.0.1", false}, {"239.255.255.255", false}, {"240.0.0.1", false}, {"255.255.255.255", false},
	} {
		a, want := netip.MustParseAddr(tt.a), none
		var dns []netip.Addr
		if tt.host {
			want, dns = a, []netip.Addr{a}
		}
		c := ipcp.NewClient()
		c.Nak([]ppp.Option{{Type: 3, Data: a.AsSlice()}, {Type: 131, Data: a.AsSlice()}})
		if d := cmp.Diff(dns, c.DNS(), addrs); c.Address() != want || d != "" {
			t.Errorf("%v: address %v, DNS %v", a, c.Address(), c.DNS())
		}
		c = ipcp.NewClient()
		if code, _ := c.Judge([]ppp.Option{{Type: 3, Data: a.AsSlice()}}); code != ppp.ConfigureAck || c.Peer() != want {
			t.Errorf("%v: %v, peer %v", a, code, c.Peer())
		}
	}
	c := ipcp.NewClient()
	c.Nak(parse(t, assigned))
	c.Judge(parse(t, assigned[:6]))
	if c.Address() != remote || c.Peer() != none {
		t.Errorf("address %v of ours, %v of a peer that says the same", c.Address(), c.Peer())
	}
}

// TestLossyWire joins client and server by a wire of every vice.
func TestLossyWire(t *testing.T) {
	seeds := uint64(10000)
	if testing.Short() {
		seeds = 1000
	}
	for seed := range seeds {
		c, s := pair(ipcp.Server{Local: local, Remote: remote, DNS: []netip.Addr{dns1}})
		w := ppptest.Wire{
			Seed: seed, Loss: 0.2, Duplicate: 0.2,
			Delay: 5 * time.Millisecond, Jitter: 300 * time.Millisecond, Start: 5 * time.Second,
		}
		if err := w.Run(time.Hour, c, s); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if dns := c.DNS(); c.Address() != remote || c.Peer() != local || len(dns) != 1 || dns[0] != dns1 {
			t.Fatalf("seed %d: address %v, peer %v, DNS %v", seed, c.Address(), c.Peer(), dns)
		}
	}
}

// FuzzOptions hands arbitrary options to both sides' policies.
func FuzzOptions(f *testing.F) {
	f.Add(anything)
	f.Add(assigned)
	f.Add([]byte{3, 5, 0, 0, 0, 2, 6, 0, 0x2d, 0x0f, 1, 129, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &ipcp.Server{Local: local, Remote: remote, DNS: []netip.Addr{dns1}}
		for _, p := range []ppp.Policy{ipcp.NewClient(), s} {
			if err := ppptest.Judge(p, b); err != nil {
				t.Error(err)
			}
		}
		c := ipcp.NewClient()
		if err := ppptest.Refuse(c, b); err != nil {
			t.Error(err)
		}
		for _, a := range append(c.DNS(), c.Address(), c.Peer()) {
			if a.IsValid() && (!a.Is4() || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast()) {
				t.Errorf("obtained %v", a)
			}
		}
	})
}
