package tour

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"

	"linebond/lab/internet"
	"linebond/lab/modem"
	"linebond/lab/netns"
)

// Addresses.
var (
	lanHost    = netip.MustParsePrefix("192.168.7.2/24")
	lanRouter  = netip.MustParsePrefix("192.168.7.1/24")
	customerIP = netip.MustParseAddr("203.0.113.10") // that all lines get
	acIP       = netip.MustParseAddr("198.51.100.1")
	ispGateway = netip.MustParsePrefix("192.0.2.1/24")
	webHost    = netip.MustParsePrefix("192.0.2.80/24")
	server     = webHost.Addr()
)

const (
	ethernetMTU = 1500
	lineMTU     = 1508 // room for PPP packets of 1500 bytes (RFC 4638)
)

// Devices of line i, from 0 on, but for the router's.
func customer(i int) string { return fmt.Sprintf("customer%d", i+1) } // the modem's, towards the router
func carrier(i int) string  { return fmt.Sprintf("carrier%d", i+1) }  // the modem's, towards the ISP
func acPort(i int) string   { return fmt.Sprintf("ac%d", i+1) }       // the ISP's

// build makes all that there is but for the daemon.
func (l *Lab) build() error {
	for _, name := range []string{lan, router, wire, ispNS, web} {
		if err := netns.Create(name); err != nil {
			return err
		}
	}
	var err error
	if l.house, err = netns.Open(router); err != nil {
		return err
	}
	l.later(l.house.Close)
	if err := l.lay(); err != nil {
		return err
	}
	for i := range l.options.Lines {
		if err := l.addModem(i); err != nil {
			return err
		}
	}
	if err := l.openISP(); err != nil {
		return err
	}
	if err := l.serve(); err != nil {
		return err
	}
	if err := l.borrowTEQL(); err != nil {
		return err
	}
	if err := writeFiles(l.options, l.teql); err != nil {
		return fmt.Errorf("writing the daemon's configuration: %w", err)
	}
	return nil
}

// lay lays all cables, and sets up what is not the daemon's or the ISP's.
func (l *Lab) lay() error {
	type cable struct {
		a, b netns.End
		mtu  int
	}
	cables := []cable{
		{netns.End{Namespace: lan, Device: "eth0"}, netns.End{Namespace: router, Device: "lan0"}, ethernetMTU},
		{netns.End{Namespace: ispNS, Device: "net0"}, netns.End{Namespace: web, Device: "eth0"}, ethernetMTU},
	}
	for i := range l.options.Lines {
		cables = append(cables,
			cable{netns.End{Namespace: router, Device: routerDevice(i)}, netns.End{Namespace: wire, Device: customer(i)}, lineMTU},
			cable{netns.End{Namespace: wire, Device: carrier(i)}, netns.End{Namespace: ispNS, Device: acPort(i)}, lineMTU})
	}
	for _, c := range cables {
		if err := netns.Cable(c.a, c.b, c.mtu); err != nil {
			return err
		}
	}
	for _, h := range []struct {
		namespace, device string
		address           netip.Prefix
		gateway           netip.Addr
	}{
		{lan, "eth0", lanHost, lanRouter.Addr()}, {router, "lan0", lanRouter, netip.Addr{}},
		{ispNS, "net0", ispGateway, netip.Addr{}}, {web, "eth0", webHost, ispGateway.Addr()},
	} {
		if err := address(h.namespace, h.device, h.address, h.gateway); err != nil {
			return fmt.Errorf("setting up %s in %s: %w", h.device, h.namespace, err)
		}
	}
	return nil
}

// address gives a device an address, and the namespace a default route if there is a gateway.
func address(namespace, device string, a netip.Prefix, gateway netip.Addr) error {
	handle, err := netns.Netlink(namespace)
	if err != nil {
		return err
	}
	defer handle.Close()
	link, err := handle.LinkByName(device)
	if err != nil {
		return err
	}
	network := &net.IPNet{IP: a.Addr().AsSlice(), Mask: net.CIDRMask(a.Bits(), a.Addr().BitLen())}
	if err := handle.AddrAdd(link, &netlink.Addr{IPNet: network}); err != nil || !gateway.IsValid() {
		return err
	}
	return handle.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway.AsSlice()})
}

// addModem puts a modem on line i.
func (l *Lab) addModem(i int) error {
	up, down := l.options.line(i)
	return netns.Do(wire, func() error {
		m, err := modem.Open(modem.Config{Customer: customer(i), Carrier: carrier(i), Up: up, Down: down})
		if err != nil {
			return err
		}
		l.modems = append(l.modems, m)
		l.later(m.Close)
		return nil
	})
}

// serve starts the servers of the internet.
func (l *Lab) serve() error {
	return netns.Do(web, func() error {
		s, err := internet.Serve(server)
		if err != nil {
			return err
		}
		l.later(s.Close)
		return nil
	})
}

// startDownload has the host in the LAN download. Who only receives says nothing while nothing comes, and a NAT that has lost the
// connection waits for a word from inside: so there are keepalives.
func (l *Lab) startDownload() {
	l.load = startLoad("download", connections(l.options.Lines), func() *internet.Transfer { return internet.StartDownload(fromLAN, server, 0) })
}

// newUpload has the host in the LAN upload over one connection. At its end, what waits in the host is forgotten: nothing of it is to be in
// the way of the next.
func newUpload() *load {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := fromLAN(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return conn, conn.(*net.TCPConn).SetLinger(0)
	}
	return startLoad("upload", 1, func() *internet.Transfer { return internet.StartUpload(dial, server) })
}

// stopLoad ends the download and the upload.
func (l *Lab) stopLoad() error {
	err := errors.Join(l.load.close(), l.upload.close())
	l.load, l.upload = nil, nil
	return err
}

// stopUpload ends the upload beside a download.
func (l *Lab) stopUpload() error {
	err := l.upload.close()
	l.upload = nil
	return err
}

// startPings has the host in the LAN ping.
func (l *Lab) startPings() (err error) {
	l.pings, err = internet.StartEcho(fromLAN, server, internet.EchoConfig{Timeout: time.Second})
	return err
}

// stopPings ends them.
func (l *Lab) stopPings() error {
	if l.pings == nil {
		return nil
	}
	err := l.pings.Close()
	l.pings = nil
	return err
}

// pinged is how the pings have fared so far.
func (l *Lab) pinged() internet.EchoStatistics {
	if l.pings == nil {
		return internet.EchoStatistics{}
	}
	return l.pings.Statistics()
}

// fromLAN dials as the host in the LAN.
func fromLAN(ctx context.Context, network, address string) (conn net.Conn, err error) {
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: int(limit.Seconds())}}
	err = netns.Do(lan, func() error {
		conn, err = dialer.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// devices lists those of a namespace.
func devices(namespace string) (names []string, err error) {
	err = netns.Do(namespace, func() error {
		all, err := net.Interfaces()
		for _, d := range all {
			names = append(names, d.Name)
		}
		return err
	})
	return names, err
}
