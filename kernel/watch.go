package kernel

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"linebond/netstate"
)

// Watch returns a channel that has something to receive when links, addresses or our routes have changed since the last receive. It
// says no more than "look again", and never holds more than one such message. It is closed when the context ends. (Closed before that
// it means that the socket has failed, for which no reason is known.) Changes of sysctls are not announced by the kernel.
func (k *Kernel) Watch(ctx context.Context) (<-chan struct{}, error) {
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK,
		unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("subscribing to changes of the network: %w", err)
	}
	changed := make(chan struct{}, 1)
	release := context.AfterFunc(ctx, socket.Close)
	go func() {
		defer close(changed)
		watch(socket, changed)
		if release() {
			socket.Close()
		}
	}()
	return changed, nil
}

// receiver is the part of nl.NetlinkSocket that watch needs.
type receiver interface {
	Receive() ([]syscall.NetlinkMessage, *unix.SockaddrNetlink, error)
}

// watch announces changes until the socket is closed or fails. ENOBUFS means that messages were lost because there were more than the
// socket could hold, so that anything may have changed.
func watch(socket receiver, changed chan<- struct{}) {
	for {
		messages, _, err := socket.Receive()
		lost := errors.Is(err, unix.ENOBUFS)
		if err != nil && !lost && !errors.Is(err, unix.EINTR) {
			return
		}
		for _, m := range messages {
			lost = lost || matters(m)
		}
		if !lost {
			continue
		}
		select {
		case changed <- struct{}{}:
		default: // the last announcement has not been read yet, and covers this change too
		}
	}
}

// matters passes everything but the routes of others, of which a router may change thousands a second. What can harm ours is the
// replacement of a route: IPv4 announces no deletion of the one that was there before.
func matters(m syscall.NetlinkMessage) bool {
	switch m.Header.Type {
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		if len(m.Data) < unix.SizeofRtMsg {
			return true
		}
		return nl.DeserializeRtMsg(m.Data).Protocol == netstate.RouteProtocol || m.Header.Flags&unix.NLM_F_REPLACE != 0
	}
	return true
}
