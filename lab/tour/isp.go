package tour

import (
	"fmt"
	"net/netip"
	"time"

	"linebond/auth"
	"linebond/lab/concentrator"
	"linebond/lab/isp"
	"linebond/lab/netns"
)

func acName(line int) string { return fmt.Sprintf("bras%d", line+1) }

func user(line int) concentrator.User {
	return concentrator.User{Name: lineUser(line), Password: auth.NewSecret(password)}
}

// openISP starts an access concentrator for each line.
func (l *Lab) openISP() error {
	c := isp.Config{DataPath: true}
	for i := range l.options.Lines {
		c.ACs = append(c.ACs, isp.AC{Device: acPort(i), Config: concentrator.Config{
			Name: acName(i), Auth: []auth.Method{auth.MSCHAPv2, auth.CHAPMD5},
			Users:  []concentrator.User{user(i)},
			Shared: customerIP, Local: acIP, DNS: []netip.Addr{server}, IPv6: true,
			EchoInterval: time.Second, EchoFailures: 3,
		}})
	}
	return netns.Do(ispNS, func() error {
		opened, err := isp.Open(c)
		if err != nil {
			return err
		}
		l.isp = opened
		l.later(opened.Close)
		return nil
	})
}
