package tour

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	vishvananda "github.com/vishvananda/netns"

	"linebond/config"
	"linebond/lab/netns"
)

// borrowTEQL moves a TEQL device that nobody uses from the host into the router, until Close, if the lab has a use for one. The kernel makes
// such devices in the host alone. (It moves them back there, too, some time after their namespace has gone.)
func (l *Lab) borrowTEQL() error {
	const known = 16 // to the configuration
	if l.options.Bond != config.ModeTEQL && !l.options.compares() {
		return nil
	}
	for number := range known {
		link, err := netlink.LinkByName(fmt.Sprintf("teql%d", number))
		if err != nil || link.Attrs().Flags&net.FlagUp != 0 || link.Attrs().Alias != "" {
			continue
		}
		if err := l.borrow(link); err != nil {
			return fmt.Errorf("borrowing %s: %w", link.Attrs().Name, err)
		}
		l.teql = link.Attrs().Name
		return nil
	}
	if l.options.compares() {
		return nil // the comparison does without
	}
	return errors.New("--bond teql needs a TEQL device that nobody uses, to borrow: `modprobe sch_teql` makes teql0")
}

func (l *Lab) borrow(link netlink.Link) error {
	into, err := vishvananda.GetFromName(router)
	if err != nil {
		return err
	}
	defer into.Close()
	host, err := vishvananda.Get()
	if err != nil {
		return err
	}
	inside, err := netns.Netlink(router)
	if err == nil {
		err = netlink.LinkSetNsFd(link, int(into))
	}
	if err != nil {
		return errors.Join(err, host.Close())
	}
	l.later(func() error {
		defer inside.Close()
		back, err := inside.LinkByName(link.Attrs().Name)
		if err == nil {
			err = inside.LinkSetNsFd(back, int(host))
		}
		if err != nil {
			err = fmt.Errorf("giving %s back: %w", link.Attrs().Name, err)
		}
		return errors.Join(err, host.Close())
	})
	return nil
}
