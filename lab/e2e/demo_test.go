//go:build demo

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"linebond/lab"
)

// TestDemo is `make demo`: the main job, shown step by step.
func TestDemo(t *testing.T) {
	d := demo{t: t}
	d.say(`A real Linux kernel (Debian's, in QEMU) has booted inside this machine. In it: a router, an ISP, and a
cable with VLAN 101 between them. The ISP runs Debian's pppoe-server and pppd, which know nothing of linebond.`)
	d.line = newLine(t, set{ac: lab.ACConfig{Name: "bras1.isp.example", IPv6: true}, cable: lab.CableConfig{MTU: 1508}})
	d.linebond.Write(t, "linebond.toml", "[log]\nto = \"stderr\"\n")
	before := d.settled(t)

	d.say("The line's file, /etc/linebond/lines.d/a.toml:")
	d.show("interface = \"eth1\"\nvlan = 101\nusername = \"user@isp\"\npassword = (a secret)")
	d.verb("check")

	d.say("`linebond run` dials it:")
	d.linebond.Start(t)
	d.isUp(t)
	d.log()
	d.verb("status")
	d.command("ip", "-brief", "address", "show", "dev", "ppp-a")
	d.command("ip", "route", "show", "default")
	d.command("ping", "-n", "-q", "-c", "3", "-i", "0.2", server)

	d.say("Somebody deletes the default route. It comes back:")
	d.router.Run(t, "ip", "route", "delete", "default")
	lab.Eventually(t, limit, func() error { return d.router.Ping("", server, 56) })
	d.command("ip", "route", "show", "default")

	d.say("The ISP's access concentrator crashes: no more a word from it. Five echo requests later linebond knows ...")
	d.ac.Kill(t)
	lab.Eventually(t, limit, func() error { return d.linebond.Logged("echo lost") })
	d.log()
	d.say("... and calls for it more than once a second, until it is back:")
	d.ac.Start(t)
	back := time.Now()
	d.isUp(t)
	d.log()
	if l, err := d.linebond.Line("a"); err == nil {
		d.say(fmt.Sprintf("Up again %v after the access concentrator's return.", l.Session.UpSince.Sub(back).Round(10*time.Millisecond)))
	}

	d.say("SIGTERM closes the session in good order:")
	took := d.linebond.Stop(t)
	d.log()
	if after := d.network(t); after != before {
		t.Errorf("something is left behind:\n%s\nbefore:\n%s", after, before)
	}
	d.say(fmt.Sprintf("That took %v. Devices, addresses and routes are what they were before the start.", took.Round(10*time.Millisecond)))
}

type demo struct {
	*line
	t     *testing.T
	shown int // bytes of the log
}

func (d *demo) say(text string) { fmt.Printf("\n%s\n", text) }

func (d *demo) show(text string) {
	fmt.Println()
	for line := range strings.Lines(strings.TrimSpace(text)) {
		fmt.Println("    " + strings.TrimRight(line, "\n"))
	}
}

// log shows what linebond has logged since the last time.
func (d *demo) log() {
	text := d.linebond.Log()
	d.show(text[d.shown:])
	d.shown = len(text)
}

// verb runs linebond with a verb.
func (d *demo) verb(args ...string) {
	out, err := d.linebond.Run(args...)
	if err != nil {
		d.t.Errorf("linebond %v: %v", args, err)
	}
	d.show("# linebond " + strings.Join(args, " ") + "\n" + out)
}

// command runs a command on the router.
func (d *demo) command(args ...string) {
	d.show("# " + strings.Join(args, " ") + "\n" + d.router.Run(d.t, args[0], args[1:]...))
}
