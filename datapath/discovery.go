package datapath

import (
	"bytes"
	"fmt"
	"net"
	"time"

	"linebond/pppoe"
)

// leastPayload is what an Ethernet frame carries at least: shorter ones are padded.
const leastPayload = 46

// Discovery sends and receives discovery frames for one line. It receives the PADO and PADS that bring back the Host-Uniq which it sent, or
// none at all; and the PADTs of the session that a PADS gave. One goroutine owns it; Frames and Err may be used from others.
type Discovery struct {
	inbox[pppoe.Frame]
	trunk    *trunk
	link     Link
	vlans    vlans
	priority uint8

	asker   asker             // guarded by trunk.mu, as are the next
	asked   net.HardwareAddr  // whom the last PADR went to
	askedAt time.Time         // and when
	offers  []programsSession // what the PADSs to this Host-Uniq gave, maxOffers at most
	shut    bool
}

// OpenDiscovery starts to listen on a link, whose Ethernet device must be up. The tags of what it sends have the 802.1p priority (0 to 7).
//
// Frames is closed when the device goes down or away; open another Discovery when it is back.
func (p *Path) OpenDiscovery(link Link, priority uint8) (*Discovery, error) {
	t, err := p.join(link)
	if err != nil {
		return nil, fmt.Errorf("opening PPPoE discovery on %v: %w", link, err)
	}
	d := &Discovery{inbox: newInbox[pppoe.Frame](), trunk: t, link: link, vlans: link.vlans(), priority: priority}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open[d] = true
	if t.ended != nil {
		d.end(t.ended)
	}
	return d, nil
}

// Send sends the payload to dst, in a frame that is padded to the Ethernet minimum.
func (d *Discovery) Send(dst net.HardwareAddr, payload []byte) error {
	d.ask(dst, payload)
	head := d.link.head(dst, d.trunk.discovery.device.HardwareAddr, etherTypeDiscovery, d.priority)
	if err := d.trunk.discovery.send(head, d.priority, leastPayload, payload); err != nil {
		return fmt.Errorf("sending a discovery frame on %v: %w", d.link, err)
	}
	return nil
}

// ask takes note of whom a request goes to, and of its Host-Uniq.
func (d *Discovery) ask(dst net.HardwareAddr, payload []byte) {
	packet, err := pppoe.Parse(payload)
	if err != nil || packet.Code != pppoe.PADI && packet.Code != pppoe.PADR {
		return
	}
	uniq, _ := hostUniq(packet)
	as := asker{d.vlans, uniq}
	t := d.trunk
	t.mu.Lock()
	defer t.mu.Unlock()
	if packet.Code == pppoe.PADR {
		d.asked, d.askedAt = bytes.Clone(dst), time.Now()
	}
	if as != d.asker && !d.shut {
		t.withdraw(d)
		drop(t.asking, d.asker, d)
		d.asker = as
		t.asking[as] = append(t.asking[as], d)
	}
}

// Close ends it; Frames is closed then.
func (d *Discovery) Close() error {
	d.end(nil)
	t := d.trunk
	t.mu.Lock()
	done := d.shut
	d.shut = true
	delete(t.open, d)
	drop(t.asking, d.asker, d)
	t.withdraw(d)
	t.mu.Unlock()
	if done {
		return nil
	}
	return t.leave()
}
