package wire

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"linebond/pppoe"
)

// Codes of the discovery packets that a client receives (RFC 2516 section 5).
const (
	codePADO = 0x07
	codePADS = 0x65
	codePADT = 0xa7
)

// Discovery sends and receives discovery frames on one Ethernet device. It receives PADO, PADS and PADT that were sent to this device's
// address or to all.
type Discovery struct {
	*inbox[pppoe.Frame]
	device string
	source net.HardwareAddr
	conn   *packet.Conn
	reader sync.WaitGroup
}

// OpenDiscovery starts to listen on a device, which must be up. The frames that it sends have the priority (0 to 7).
//
// Frames is closed when the device goes down or away; open another Discovery when it is back.
func OpenDiscovery(device string, priority uint8) (*Discovery, error) {
	conn, err := listen(device, etherTypeDiscovery, []uint32{unix.PACKET_HOST, unix.PACKET_BROADCAST},
		check{bpf.LoadAbsolute{Off: offsetCode, Size: 1}, []uint32{codePADO, codePADS, codePADT}})
	if err != nil {
		return nil, fmt.Errorf("opening PPPoE discovery on %s: %w", device, err)
	}
	if err := onDescriptor(conn, func(fd int) error { return setPriority(fd, priority) }); err != nil {
		conn.Close()
		return nil, fmt.Errorf("opening PPPoE discovery on %s: %w", device, err)
	}
	d := &Discovery{
		inbox:  newInbox[pppoe.Frame](),
		device: device,
		source: conn.LocalAddr().(*packet.Addr).HardwareAddr,
		conn:   conn,
	}
	d.reader.Go(d.read)
	return d, nil
}

// Send sends the payload to dst, in a frame that is padded to the Ethernet minimum.
func (d *Discovery) Send(dst net.HardwareAddr, payload []byte) error {
	frame := ethernet.Frame{Destination: dst, Source: d.source, EtherType: etherTypeDiscovery, Payload: payload}
	b, err := frame.MarshalBinary()
	if err == nil {
		_, err = d.conn.WriteTo(b, &packet.Addr{HardwareAddr: dst})
	}
	if err != nil {
		return fmt.Errorf("sending a discovery frame on %s: %w", d.device, err)
	}
	return nil
}

// Close ends it; Frames is closed then.
func (d *Discovery) Close() error {
	d.end(nil)
	err := d.conn.Close()
	d.reader.Wait()
	return err
}

func (d *Discovery) read() {
	buffer := make([]byte, frameBuffer)
	for {
		n, _, err := d.conn.ReadFrom(buffer)
		if errors.Is(err, unix.ENETDOWN) {
			d.end(fmt.Errorf("the device %s went down or away: %w", d.device, err))
			return
		}
		if err != nil {
			d.end(fmt.Errorf("receiving discovery frames on %s: %w", d.device, err))
			return
		}
		var frame ethernet.Frame
		if err := frame.UnmarshalBinary(buffer[:n]); err != nil { // the filter has seen to it that there are 16 bytes
			continue
		}
		d.put(pppoe.Frame{Src: frame.Source, Payload: frame.Payload}) // copies, made by UnmarshalBinary
	}
}

// onDescriptor lends the file descriptor of a connection or file to do, and keeps it from being closed meanwhile.
func onDescriptor(conn syscall.Conn, do func(fd int) error) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = do(int(fd)) }); err != nil {
		return err
	}
	return failed
}
