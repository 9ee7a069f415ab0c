package kernel

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"linebond/netstate"
)

// TestForeignChangesAreRepaired has other programs undo what a line needs. Watch must tell, and another round must put it right.
func TestForeignChangesAreRepaired(t *testing.T) {
	k := host(t)
	pppUnit(t, "ppp-a")
	want := lineUp("ppp-a")
	changed := startWatch(t, k)
	reconcile(t, k, want)
	for _, command := range []string{
		"ip route delete default dev ppp-a",
		"ip -6 route delete default dev ppp-a",
		"ip route flush table main",
		"ip address flush dev ppp-a",
		"ip link set ppp-a mtu 1400",
		"ip link set ppp-a down",
		"ip link set eth1 down",
		"ip link delete eth1.101",
		"ip route replace default dev lo metric 200",
	} {
		t.Run(command, func(t *testing.T) {
			run(t, command)
			if len(netstate.Diff(want, observe(t, k, want))) == 0 {
				t.Fatal("the command changes nothing that is wanted")
			}
			repair(t, k, want, changed)
		})
	}
	run(t, "ip route delete default dev lo metric 200")
}

// repair waits for an announcement and reconciles, as often as it takes: the first announcement may be one of an earlier change.
func repair(t *testing.T, k *Kernel, want netstate.State, changed <-chan struct{}) {
	t.Helper()
	for range changed {
		if len(reconcile(t, k, want)) > 0 {
			return
		}
	}
	t.Error("the watch has ended")
}

func startWatch(t *testing.T, k *Kernel) <-chan struct{} {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	changed, err := k.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		for range changed { // until it is closed
		}
	})
	return changed
}

// script is a netlink socket that answers as written down, and is then closed.
type script []func() ([]syscall.NetlinkMessage, error)

func (s *script) Receive() ([]syscall.NetlinkMessage, *unix.SockaddrNetlink, error) {
	if len(*s) == 0 {
		return nil, nil, os.ErrClosed
	}
	next := (*s)[0]
	*s = (*s)[1:]
	messages, err := next()
	return messages, nil, err
}

func TestWatchAnnouncements(t *testing.T) {
	message := func(kind, flags uint16, data ...byte) func() ([]syscall.NetlinkMessage, error) {
		return func() ([]syscall.NetlinkMessage, error) {
			return []syscall.NetlinkMessage{{Header: syscall.NlMsghdr{Type: kind, Flags: flags}, Data: data}}, nil
		}
	}
	fails := func(err error) func() ([]syscall.NetlinkMessage, error) {
		return func() ([]syscall.NetlinkMessage, error) { return nil, err }
	}
	route := func(protocol byte) []byte {
		return []byte{
			unix.AF_INET, // family
			0, 0, 0,      // length of the destination, of the source; TOS
			unix.RT_TABLE_MAIN,    // table
			protocol,              // protocol
			unix.RT_SCOPE_LINK, 1, // scope, type: unicast
			0, 0, 0, 0, // flags
		}
	}
	ours, bgp := route(netstate.RouteProtocol), route(unix.RTPROT_BGP)
	qdisc := func(kind string) []byte {
		return append(make([]byte, nl.SizeofTcMsg), nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated(kind)).Serialize()...)
	}
	filter := func(priority, handle uint32) []byte {
		return (&nl.TcMsg{Info: priority<<16 | 0x0300, Handle: handle}).Serialize() // for all protocols
	}
	shaper := qdisc("cake")
	binary.NativeEndian.PutUint32(shaper[8:], netstate.ShaperHandle) // struct tcmsg: tcm_handle
	tests := []struct {
		name   string
		script script
		want   int // announcements: 0 or 1, as nobody reads them
	}{
		{"nothing", nil, 0},
		{"a link", script{message(unix.RTM_NEWLINK, 0)}, 1},
		{"an address", script{message(unix.RTM_DELADDR, 0)}, 1},
		{"a route of ours", script{message(unix.RTM_DELROUTE, 0, ours...)}, 1},
		{"a route of others", script{message(unix.RTM_NEWROUTE, 0, bgp...)}, 0},
		{"a route of others in the place of one that may be ours", script{message(unix.RTM_NEWROUTE, unix.NLM_F_REPLACE, bgp...)}, 1},
		{"a route cut short", script{message(unix.RTM_NEWROUTE, 0, 2)}, 1},
		{"a slave of a bond", script{message(unix.RTM_DELQDISC, 0, qdisc("teql0")...)}, 1},
		{"all filters of a device", script{message(unix.RTM_DELQDISC, 0, qdisc("clsact")...)}, 1},
		{"filters may come", script{message(unix.RTM_NEWQDISC, 0, qdisc("clsact")...)}, 0},
		{"a filter of a scheduler", script{message(unix.RTM_DELTFILTER, 0, filter(netstate.SchedulerPriority, netstate.SchedulerHandle)...)}, 1},
		{"all filters of its priority", script{message(unix.RTM_DELTFILTER, 0, filter(netstate.SchedulerPriority, 0)...)}, 1},
		{"another filter of its priority", script{message(unix.RTM_NEWTFILTER, 0, filter(netstate.SchedulerPriority, 1)...)}, 0},
		{"another filter", script{message(unix.RTM_DELTFILTER, 0, filter(49152, netstate.SchedulerHandle)...)}, 0},
		{"another qdisc", script{message(unix.RTM_NEWQDISC, 0, qdisc("fq_codel")...)}, 0},
		{"a shaper", script{message(unix.RTM_DELQDISC, 0, shaper...)}, 1},
		{"a qdisc cut short", script{message(unix.RTM_NEWQDISC, 0, 2)}, 0},
		{"classes and filters", script{message(unix.RTM_NEWTCLASS, 0), message(unix.RTM_DELTFILTER, 0), message(unix.RTM_NEWCHAIN, 0)}, 0},
		{"lost messages", script{fails(unix.ENOBUFS)}, 1},
		{"an interruption, then a link", script{fails(unix.EINTR), message(unix.RTM_NEWLINK, 0)}, 1},
		{"two changes are one announcement", script{fails(unix.ENOBUFS), message(unix.RTM_NEWLINK, 0), message(unix.RTM_NEWLINK, 0)}, 1},
		{"a failure ends it", script{fails(errors.New("broken")), message(unix.RTM_NEWLINK, 0)}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			changed := make(chan struct{}, 1)
			watch(&test.script, matters, changed)
			if got := len(changed); got != test.want {
				t.Errorf("%d announcements, want %d", got, test.want)
			}
		})
	}
}

func TestWhatConcernsTheTable(t *testing.T) {
	about := func(family byte, number int, value string) syscall.NetlinkMessage {
		return syscall.NetlinkMessage{Data: append([]byte{family, 0, 0, 0}, nl.NewRtAttr(number, []byte(value)).Serialize()...)}
	}
	tests := []struct {
		name    string
		message syscall.NetlinkMessage
		want    bool
	}{
		{"ours", about(unix.NFPROTO_INET, unix.NFTA_TABLE_NAME, "linebond\x00"), true},
		{"of another name", about(unix.NFPROTO_INET, unix.NFTA_TABLE_NAME, "linebonds\x00"), false},
		{"of another family", about(unix.NFPROTO_IPV4, unix.NFTA_TABLE_NAME, "linebond\x00"), false},
		{"a chain of our table's name", about(unix.NFPROTO_INET, unix.NFTA_CHAIN_NAME, "linebond\x00"), false},
		{"a new generation", about(unix.NFPROTO_UNSPEC, unix.NFTA_GEN_ID, "\x00\x00\x00\x07"), false},
		{"nothing", syscall.NetlinkMessage{}, false},
		{"cut short", syscall.NetlinkMessage{Data: []byte{unix.NFPROTO_INET, 0, 0, 0, 99, 0}}, false},
	}
	for _, test := range tests {
		if got := concernsTable(test.message); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
	}
}
