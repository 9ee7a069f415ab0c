package datapath

import (
	"bytes"
	"fmt"
	"net"
	"sync"

	"golang.org/x/sys/unix"

	"linebond/pppoe"
)

// Codes of the discovery packets that a client receives (RFC 2516 section 5).
const (
	codePADO = 0x07
	codePADS = 0x65
	codePADT = 0xa7
)

// leastPayload is what an Ethernet frame carries at least: shorter ones are padded.
const leastPayload = 46

// Discovery sends and receives discovery frames on one link. It receives PADO, PADS and PADT that were sent to this device's address or to
// all. One goroutine owns it; Frames and Err may be used from others.
type Discovery struct {
	*inbox[pppoe.Frame]
	socket *socket
	reader sync.WaitGroup
}

// OpenDiscovery starts to listen on a link, whose Ethernet device must be up. The tags of what it sends have the 802.1p priority (0 to 7).
//
// Frames is closed when the device goes down or away; open another Discovery when it is back.
func OpenDiscovery(link Link, priority uint8) (*Discovery, error) {
	s, err := open(link, etherTypeDiscovery, priority, []uint32{unix.PACKET_HOST, unix.PACKET_BROADCAST},
		check{load: at(link, offsetCode, 1), values: []uint32{codePADO, codePADS, codePADT}})
	if err != nil {
		return nil, fmt.Errorf("opening PPPoE discovery on %v: %w", link, err)
	}
	d := &Discovery{inbox: newInbox[pppoe.Frame](), socket: s}
	d.reader.Go(func() {
		d.end(s.receive(func(src net.HardwareAddr, payload []byte) {
			d.put(pppoe.Frame{Src: bytes.Clone(src), Payload: bytes.Clone(payload)})
		}))
	})
	return d, nil
}

// Send sends the payload to dst, in a frame that is padded to the Ethernet minimum.
func (d *Discovery) Send(dst net.HardwareAddr, payload []byte) error {
	if err := d.socket.send(dst, leastPayload, payload); err != nil {
		return fmt.Errorf("sending a discovery frame on %v: %w", d.socket.link, err)
	}
	return nil
}

// Close ends it; Frames is closed then.
func (d *Discovery) Close() error {
	d.end(nil)
	err := d.socket.conn.Close()
	d.reader.Wait()
	return err
}
