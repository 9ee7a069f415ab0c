package kernel

import (
	"bytes"
	"encoding/binary"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"linebond/netstate"
)

// seenQdisc is a queueing discipline.
type seenQdisc struct {
	index          int // of its device
	handle, parent uint32
	kind           string
	options, stats []byte // TCA_OPTIONS, TCA_STATS2; of those kinds alone that shapers are made of
}

func (q seenQdisc) isRoot() bool { return q.parent == netlink.HANDLE_ROOT }

// listQdiscs lists those of all devices: the kernel lists no fewer. (The listing of package tc fails if any of them, whoever's, has an
// attribute that is newer than that package.)
func listQdiscs() ([]seenQdisc, error) {
	return dump(func() (qdiscs []seenQdisc, err error) {
		request := nl.NewNetlinkRequest(unix.RTM_GETQDISC, unix.NLM_F_DUMP)
		request.AddData(&nl.TcMsg{Family: unix.AF_UNSPEC})
		err = request.ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWQDISC, func(m []byte) bool {
			if q, ok := parseQdisc(m); ok {
				qdiscs = append(qdiscs, q)
			}
			return true
		})
		return qdiscs, err
	})
}

// parseQdisc reads a message about a qdisc.
func parseQdisc(m []byte) (q seenQdisc, ok bool) {
	if len(m) < nl.SizeofTcMsg {
		return q, false
	}
	header := nl.DeserializeTcMsg(m)
	q.index, q.handle, q.parent = int(header.Ifindex), header.Handle, header.Parent
	var options, stats []byte
	for kind, value := range attributes(m[nl.SizeofTcMsg:]) {
		switch kind {
		case nl.TCA_KIND:
			q.kind = cString(value)
		case nl.TCA_OPTIONS:
			options = value
		case nl.TCA_STATS2:
			stats = value
		}
	}
	if q.kind == cake || q.kind == tbf || q.kind == fqCoDel {
		q.options, q.stats = bytes.Clone(options), bytes.Clone(stats)
	}
	return q, true
}

// observeQdiscs returns the root qdiscs by which a line device is a slave of any bond, and any device one of the bonds given.
func observeQdiscs(qdiscs []seenQdisc, names map[int]string, links map[string]netstate.Link) (observed []netstate.Qdisc) {
	for _, q := range qdiscs {
		device, exists := names[q.index]
		if exists && q.isRoot() && isBondName(q.kind) && (links[device].Line || links[q.kind].Bond) {
			observed = append(observed, netstate.Qdisc{Device: device, Kind: q.kind})
		}
	}
	return observed
}

// number reads an attribute of 4 or 8 bytes; 0 if it has neither.
func number(value []byte) uint64 {
	switch len(value) {
	case 4:
		return uint64(binary.NativeEndian.Uint32(value))
	case 8:
		return binary.NativeEndian.Uint64(value)
	}
	return 0
}
