package modem

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"
)

// virtioHeader is the length in bytes of what the kernel puts before each frame (struct virtio_net_hdr): in the host's byte order
//
//	offset  0  flags (1): 1 when the checksum is unfinished
//	        1  segmentation (1): 0 when the frame is one frame
//	        2  length of the headers (2), of a segment (2)
//	        6  where the bytes begin that the checksum covers (2), and its place after that (2)
const virtioHeader = 10

// auxdata is the length in bytes of struct tpacket_auxdata: in the host's byte order
//
//	offset  0  status (4)
//	        4  lengths and offsets (12)
//	       16  tag control information (2), tag protocol (2)
const auxdata = 20

// timespec is the length in bytes of struct __kernel_timespec: seconds (8), nanoseconds (8), in the host's byte order.
const timespec = 16

const (
	addresses     = 12 // bytes of the two MAC addresses, after which a tag stands
	tagLength     = 4
	etherTypeVLAN = 0x8100
)

// whole makes the frame as it would be on a wire of what the kernel hands out: b, with its virtio header, and the control messages. It
// returns a copy; nil for a frame that is still to be cut into segments.
func whole(b, control []byte) []byte {
	if b[1] != unix.VIRTIO_NET_HDR_GSO_NONE {
		return nil
	}
	header, frame := b[:virtioHeader], b[virtioHeader:]
	if header[0]&unix.VIRTIO_NET_HDR_F_NEEDS_CSUM != 0 {
		finishChecksum(frame, int(binary.NativeEndian.Uint16(header[6:])), int(binary.NativeEndian.Uint16(header[8:])))
	}
	tag, tagged := outerTag(control)
	if !tagged || len(frame) < addresses {
		return append([]byte(nil), frame...)
	}
	out := make([]byte, 0, len(frame)+tagLength)
	out = append(out, frame[:addresses]...)
	out = append(out, tag[:]...)
	return append(out, frame[addresses:]...)
}

// outerTag is the VLAN tag that the kernel has taken from the frame, as it was on the wire.
func outerTag(control []byte) (tag [tagLength]byte, ok bool) {
	data := part(control, unix.SOL_PACKET, unix.PACKET_AUXDATA)
	if len(data) < auxdata {
		return tag, false
	}
	status := binary.NativeEndian.Uint32(data)
	if status&unix.TP_STATUS_VLAN_VALID == 0 {
		return tag, false
	}
	protocol := uint16(etherTypeVLAN)
	if status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
		protocol = binary.NativeEndian.Uint16(data[18:])
	}
	binary.BigEndian.PutUint16(tag[0:], protocol)
	binary.BigEndian.PutUint16(tag[2:], binary.NativeEndian.Uint16(data[16:]))
	return tag, true
}

// stamp is when the kernel has got the frame from the device, by the time of day; zero if it does not say.
func stamp(control []byte) time.Time {
	data := part(control, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW)
	if len(data) < timespec {
		return time.Time{}
	}
	return time.Unix(int64(binary.NativeEndian.Uint64(data)), int64(binary.NativeEndian.Uint64(data[8:])))
}

// part is what one of the control messages says; nil if it is not there.
func part(control []byte, level, kind int32) []byte {
	for len(control) >= unix.CmsgLen(0) {
		header, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			return nil
		}
		if header.Level == level && header.Type == kind {
			return data
		}
		control = rest
	}
	return nil
}

// finishChecksum does what a network card does to a packet of TCP or UDP whose sender leaves the checksum to it: the place, offset bytes
// after start, has the sum of the pseudo header, and gets the checksum (RFC 1071) of all from start.
func finishChecksum(frame []byte, start, offset int) {
	if start+offset+2 > len(frame) {
		return
	}
	var sum uint64
	b := frame[start:]
	for ; len(b) >= 4; b = b[4:] {
		sum += uint64(binary.BigEndian.Uint32(b))
	}
	for i, c := range b {
		sum += uint64(c) << (24 - 8*i)
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	checksum := ^uint16(sum)
	if checksum == 0 {
		checksum = 0xffff // the same number, and in UDP not "none"
	}
	binary.BigEndian.PutUint16(frame[start+offset:], checksum)
}
