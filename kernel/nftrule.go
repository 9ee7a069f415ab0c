package kernel

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"linebond/netstate"
)

// register is the one that conditions load into, and NAT takes its address from; it holds 16 bytes. NAT's port is in the next one.
const (
	register     = unix.NFT_REG_1
	portRegister = unix.NFT_REG_2
)

// Values that nftables compares with, of linux/netfilter/nf_conntrack_common.h (IPS_DST_NAT) and RFC 9293, section 3.1.
const (
	statusDNAT = 1 << 5
	tcpFlagsAt = 13
	tcpSYN     = 0x02
	tcpRST     = 0x04
	tcpMSS     = 2 // option kind; its value is 2 bytes at offset 2
)

var protocols = map[string]byte{
	"tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP, "icmp": unix.IPPROTO_ICMP, "ipv6-icmp": unix.IPPROTO_ICMPV6,
}

// compile gives the expressions of a rule, the same and in the same order as nft(8) makes of Rule.String, so that nft lists it likewise.
// (What nft makes is shown by nft --debug=netlink.)
func compile(r netstate.Rule) ([]expr.Any, error) {
	var c compiler
	c.device(expr.MetaKeyIIFNAME, r.In, r.InDevice)
	c.device(expr.MetaKeyOIFNAME, r.Out, r.OutDevice)
	c.family(r)
	c.address(r.Source, 12, 8) // offsets in the headers of IPv4 and IPv6
	c.address(r.Destination, 16, 24)
	c.connection(r.Connection)
	c.marked(r.Marked)
	c.transport(r)
	c.turns(r.Turns)
	c.verdict(r)
	return c.exprs, c.err
}

type compiler struct {
	exprs []expr.Any
	err   error // the first one
}

func (c *compiler) add(exprs ...expr.Any) { c.exprs = append(c.exprs, exprs...) }

func (c *compiler) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

func (c *compiler) equal(data ...byte) {
	c.add(&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: data})
}

// masked leaves of the register what the mask has.
func (c *compiler) masked(mask []byte) {
	c.add(&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: uint32(len(mask)), Mask: mask, Xor: make([]byte, len(mask))})
}

// device asks for one of a set, or for a device by its name.
func (c *compiler) device(key expr.MetaKey, set, name string) {
	if set == "" && name == "" {
		return
	}
	c.add(&expr.Meta{Key: key, Register: register})
	switch {
	case set == "":
		c.equal(deviceKey(name)...)
	case name == "":
		c.add(&expr.Lookup{SourceRegister: register, SetName: set})
	default:
		c.fail("there is both a set, %s, and a device, %s", set, name)
	}
}

// deviceKey is a device's name as the kernel compares it.
func deviceKey(name string) []byte {
	key := make([]byte, unix.IFNAMSIZ)
	copy(key, name)
	return key
}

// family asks for the family that the rule names or that its addresses are of. (A packet of another one than a NAT's passes it by.)
func (c *compiler) family(r netstate.Rule) {
	family := r.Family
	for _, p := range []netip.Prefix{r.Source, r.Destination} {
		if !p.IsValid() {
			continue
		}
		of := uint8(4)
		if p.Addr().Is6() {
			of = 6
		}
		if family != 0 && family != of {
			c.fail("%s is not an address of IPv%d", p, family)
		}
		family = of
	}
	switch family {
	case 0:
		return
	case 4:
		c.add(&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: register})
		c.equal(unix.NFPROTO_IPV4)
	case 6:
		c.add(&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: register})
		c.equal(unix.NFPROTO_IPV6)
	default:
		c.fail("there is no IPv%d", family)
	}
}

func (c *compiler) address(p netip.Prefix, offset4, offset6 uint32) {
	if !p.IsValid() || p.Bits() == 0 {
		return
	}
	offset, size := offset4, p.Addr().BitLen()
	if p.Addr().Is6() {
		offset = offset6
	}
	c.add(&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(size / 8)})
	if !p.IsSingleIP() {
		c.masked(net.CIDRMask(p.Bits(), size))
	}
	c.equal(p.Masked().Addr().AsSlice()...)
}

func (c *compiler) connection(wanted netstate.Connection) {
	key, bits := expr.CtKeySTATE, uint32(0)
	switch wanted {
	case netstate.AnyConnection:
		return
	case netstate.Established:
		bits = expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED
	case netstate.Invalid:
		bits = expr.CtStateBitINVALID
	case netstate.Forwarded:
		key, bits = expr.CtKeySTATUS, statusDNAT
	default:
		c.fail("%s is unknown", wanted)
	}
	c.add(&expr.Ct{Key: key, Register: register})
	c.masked(binary.NativeEndian.AppendUint32(nil, bits))
	c.add(&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: make([]byte, 4)})
}

func (c *compiler) marked(m netstate.Mark) {
	if m.Mask == 0 {
		return
	}
	c.add(&expr.Ct{Key: expr.CtKeyMARK, Register: register})
	c.masked(binary.NativeEndian.AppendUint32(nil, m.Mask))
	c.equal(binary.NativeEndian.AppendUint32(nil, m.Value)...)
}

// mark puts the bits of a mark into the register, which has the old one.
func (c *compiler) mark(m netstate.Mark) {
	if m.Mask == 0 || m.Value&^m.Mask != 0 {
		c.fail("there is no mark %#x within %#x", m.Value, m.Mask)
	}
	c.add(&expr.Bitwise{
		SourceRegister: register, DestRegister: register, Len: 4,
		Mask: binary.NativeEndian.AppendUint32(nil, ^m.Mask), Xor: binary.NativeEndian.AppendUint32(nil, m.Value),
	})
}

func (c *compiler) transport(r netstate.Rule) {
	ported := r.Protocol == "tcp" || r.Protocol == "udp"
	number, known := protocols[r.Protocol]
	switch {
	case r.Protocol != "" && !known:
		c.fail("the protocol %q is unknown", r.Protocol)
	case r.Ports != netstate.Ports{} && !ported:
		c.fail("ports are of tcp or udp, not of %q", r.Protocol)
	case (r.SYN || r.Verdict == netstate.ClampMSS) && r.Protocol != "tcp":
		c.fail("SYN and MSS are of tcp, not of %q", r.Protocol)
	case r.Verdict == netstate.DNAT && r.ToPort != 0 && !ported:
		c.fail("a port to go to is of tcp or udp, not of %q", r.Protocol)
	}
	if r.Protocol != "" {
		c.add(&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register})
		c.equal(number)
	}
	first, last := binary.BigEndian.AppendUint16(nil, r.Ports.First), binary.BigEndian.AppendUint16(nil, r.Ports.Last)
	if r.Ports != (netstate.Ports{}) {
		c.add(&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2})
		if r.Ports.First == r.Ports.Last {
			c.equal(first...)
		} else {
			c.add(&expr.Cmp{Op: expr.CmpOpGte, Register: register, Data: first}, &expr.Cmp{Op: expr.CmpOpLte, Register: register, Data: last})
		}
	}
	if r.SYN {
		c.add(&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: tcpFlagsAt, Len: 1})
		c.masked([]byte{tcpSYN | tcpRST})
		c.equal(tcpSYN)
	}
}

// turns counts the packets that have come so far: so it is the last of the conditions.
func (c *compiler) turns(t netstate.Turns) {
	if t == (netstate.Turns{}) {
		return
	}
	if t.First == 0 || t.First >= t.Of {
		c.fail("there are no first %d of %d packets", t.First, t.Of)
	}
	c.add(&expr.Numgen{Register: register, Modulus: t.Of, Type: unix.NFT_NG_INCREMENTAL},
		&expr.Byteorder{SourceRegister: register, DestRegister: register, Op: expr.ByteorderHton, Len: 4, Size: 4},
		&expr.Cmp{Op: expr.CmpOpLt, Register: register, Data: binary.BigEndian.AppendUint32(nil, t.First)})
}

func (c *compiler) verdict(r netstate.Rule) {
	switch r.Verdict {
	case netstate.Accept:
		c.add(&expr.Verdict{Kind: expr.VerdictAccept})
	case netstate.Drop:
		c.add(&expr.Verdict{Kind: expr.VerdictDrop})
	case netstate.Masquerade:
		c.add(&expr.Masq{})
	case netstate.SNAT:
		c.nat(expr.NATTypeSourceNAT, r.To, 0)
	case netstate.DNAT:
		c.nat(expr.NATTypeDestNAT, r.To, r.ToPort)
	case netstate.ClampMSS:
		c.clamp(r.MSS)
	case netstate.MarkConnection:
		c.add(&expr.Ct{Key: expr.CtKeyMARK, Register: register})
		c.mark(r.Mark)
		c.add(&expr.Ct{Key: expr.CtKeyMARK, Register: register, SourceRegister: true})
	case netstate.MarkPacket, netstate.MarkAndAccept:
		c.add(&expr.Meta{Key: expr.MetaKeyMARK, Register: register})
		c.mark(r.Mark)
		c.add(&expr.Meta{Key: expr.MetaKeyMARK, Register: register, SourceRegister: true})
		if r.Verdict == netstate.MarkAndAccept {
			c.add(&expr.Verdict{Kind: expr.VerdictAccept})
		}
	default:
		c.fail("%s is unknown", r.Verdict)
	}
}

// clamp lowers the MSS of a packet; 0: to that of the path, which the kernel gives in the host's byte order.
func (c *compiler) clamp(to uint16) {
	if to != 0 {
		c.add(&expr.Immediate{Register: register, Data: binary.BigEndian.AppendUint16(nil, to)})
	} else {
		c.add(&expr.Rt{Register: register, Key: expr.RtTCPMSS},
			&expr.Byteorder{SourceRegister: register, DestRegister: register, Op: expr.ByteorderHton, Len: 2, Size: 2})
	}
	c.add(&expr.Exthdr{SourceRegister: register, Type: tcpMSS, Offset: 2, Len: 2, Op: expr.ExthdrOpTcpopt})
}

func (c *compiler) nat(kind expr.NATType, to netip.Addr, port uint16) {
	if !to.IsValid() {
		c.fail("there is no address to translate to")
	}
	nat := &expr.NAT{Type: kind, Family: unix.NFPROTO_IPV4, RegAddrMin: register}
	if to.Is6() {
		nat.Family = unix.NFPROTO_IPV6
	}
	c.add(&expr.Immediate{Register: register, Data: to.AsSlice()})
	if port != 0 {
		c.add(&expr.Immediate{Register: portRegister, Data: binary.BigEndian.AppendUint16(nil, port)})
		nat.RegProtoMin, nat.Specified = portRegister, true
	}
	c.add(nat)
}
