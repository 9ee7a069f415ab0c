package kernel

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"linebond/netstate"
)

// Watch returns a channel that has something to receive when links, addresses, our routes, routing rules, slaves of bonds, shapers or our
// nftables table have changed since the last receive. It says no more than "look again", and never holds more than one such message. It is closed
// when the context ends. (Closed before that it means that a socket has failed, for which no reason is known.) Of the changes of sysctls
// the kernel announces those of rp_filter and ip_forward alone.
func (k *Kernel) Watch(ctx context.Context) (<-chan struct{}, error) {
	routing, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_TC,
		unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
		unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV4_NETCONF)
	if err != nil {
		return nil, fmt.Errorf("subscribing to changes of the network: %w", err)
	}
	tables, err := nl.Subscribe(unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
	if err != nil && !errors.Is(err, unix.EPROTONOSUPPORT) { // that means a kernel that has no tables
		routing.Close()
		return nil, fmt.Errorf("subscribing to changes of nftables: %w", err)
	}
	changed := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	follow := func(socket *nl.NetlinkSocket, matters func(syscall.NetlinkMessage) bool) {
		context.AfterFunc(ctx, socket.Close)
		running.Go(func() {
			defer cancel() // without one of the two, the other is not to be relied on
			watch(socket, matters, changed)
		})
	}
	follow(routing, matters)
	if tables != nil {
		follow(tables, concernsTable)
	}
	go func() {
		running.Wait()
		close(changed)
	}()
	return changed, nil
}

// receiver is the part of nl.NetlinkSocket that watch needs.
type receiver interface {
	Receive() ([]syscall.NetlinkMessage, *unix.SockaddrNetlink, error)
}

// watch announces changes until the socket is closed or fails. ENOBUFS means that messages were lost because there were more than the
// socket could hold, so that anything may have changed.
func watch(socket receiver, matters func(syscall.NetlinkMessage) bool, changed chan<- struct{}) {
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

// matters passes every change of links, addresses and routing rules. It passes no routes of others, of which a router may change thousands
// a second. What can harm ours is the replacement of a route: IPv4 announces no deletion of the one that was there before. Of traffic
// control, where a host of containers is as busy, it passes the coming and going of slaves of bonds, and of shapers: of the replacement of
// a qdisc the kernel tells as of its going, and then the coming of another one. And it passes what may have been done to the tc filters of
// schedulers.
func matters(m syscall.NetlinkMessage) bool {
	switch m.Header.Type {
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		if len(m.Data) < unix.SizeofRtMsg {
			return true
		}
		return nl.DeserializeRtMsg(m.Data).Protocol == netstate.RouteProtocol || m.Header.Flags&unix.NLM_F_REPLACE != 0
	case unix.RTM_NEWQDISC, unix.RTM_DELQDISC:
		return isBondName(attribute(m, nl.SizeofTcMsg, nl.TCA_KIND)) || isShaper(m) || m.Header.Type == unix.RTM_DELQDISC && isClsact(m)
	case unix.RTM_NEWTFILTER, unix.RTM_DELTFILTER:
		return isSchedulers(m)
	case unix.RTM_NEWTCLASS, unix.RTM_DELTCLASS, unix.RTM_NEWCHAIN, unix.RTM_DELCHAIN:
		return false
	}
	return true
}

// isClsact says whether a message about a qdisc is about one whose filters have gone with it.
func isClsact(m syscall.NetlinkMessage) bool {
	return attribute(m, nl.SizeofTcMsg, nl.TCA_KIND) == "clsact"
}

// isSchedulers says whether a message about a tc filter is about one of a scheduler, or (by the handle 0) about all of its priority.
func isSchedulers(m syscall.NetlinkMessage) bool {
	if len(m.Data) < nl.SizeofTcMsg {
		return false
	}
	tc := nl.DeserializeTcMsg(m.Data)
	return tc.Info>>16 == netstate.SchedulerPriority && (tc.Handle == netstate.SchedulerHandle || tc.Handle == 0)
}

// isShaper says whether a message about a qdisc is about one of ours.
func isShaper(m syscall.NetlinkMessage) bool {
	return len(m.Data) >= nl.SizeofTcMsg && nl.DeserializeTcMsg(m.Data).Handle == netstate.ShaperHandle
}

// concernsTable passes what is about our nftables table, or things in it: its name is in the attribute of the same number in all of those.
func concernsTable(m syscall.NetlinkMessage) bool {
	return len(m.Data) > 0 && m.Data[0] == unix.NFPROTO_INET && attribute(m, nftHeaderSize, unix.NFTA_TABLE_NAME) == netstate.TableName
}

// attribute returns the text of an attribute, which comes after a header of the size given, in bytes. Without it, the text is empty.
func attribute(m syscall.NetlinkMessage, header int, number uint16) string {
	if len(m.Data) < header {
		return ""
	}
	attributes, err := nl.ParseRouteAttr(m.Data[header:])
	if err != nil {
		return ""
	}
	for _, a := range attributes {
		if a.Attr.Type == number {
			return cString(a.Value)
		}
	}
	return ""
}
