package e2e

import (
	"sync/atomic"
	"testing"

	"github.com/mdlayher/packet"

	"linebond/lab"
	"linebond/pppoe"

	"net"
)

const etherTypeDiscovery = 0x8863

// listen opens a packet socket in a namespace, for as long as the test.
func listen(t *testing.T, n *lab.Namespace, device string, etherType int) (*packet.Conn, *net.Interface) {
	t.Helper()
	var conn *packet.Conn
	var dev *net.Interface
	var err error
	n.Do(t, func() {
		if dev, err = net.InterfaceByName(device); err == nil {
			conn, err = packet.Listen(dev, packet.Raw, etherType, nil)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn, dev
}

// padts counts the PADTs that come to a device from now on.
func padts(t *testing.T, n *lab.Namespace, device string) func() int64 {
	t.Helper()
	conn, dev := listen(t, n, device, etherTypeDiscovery)
	var count atomic.Int64
	go func() {
		frame := make([]byte, 2048)
		for {
			length, _, err := conn.ReadFrom(frame)
			if err != nil {
				return
			}
			to := net.HardwareAddr(frame[:6])
			if p, err := pppoe.Parse(frame[14:length]); err == nil && p.Code == pppoe.PADT && to.String() == dev.HardwareAddr.String() {
				count.Add(1)
			}
		}
	}()
	return count.Load
}
