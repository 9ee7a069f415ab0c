//go:build demo

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"linebond/control"
	"linebond/lab"
)

// TestDemo is `make demo`: the main job, shown step by step.
func TestDemo(t *testing.T) {
	d := demo{t: t}
	d.say(`A Linux kernel (Debian's, in QEMU) has booted inside this machine. In it: an ISP that runs Debian's pppoe-server and
pppd, which know nothing of linebond; two lines of 5 Mbit/s, each with a modem and VLAN 101; a router with linebond; and a host in its LAN.
The ISP gives both lines the same address, and sends what comes down by either, packet by packet.`)
	d.bonded = newBonded(t, bondSet{lab: lab.BondConfig{Lines: slow(2)}})
	before := d.settled(t)
	toml := fmt.Sprintf("[bond]\nmode = \"teql\"\ndevice = %q\n\n[lan]\ninterfaces = [\"lan0\"]\n\n[host]\nfirewall = true\n", d.TEQL)
	d.linebond.Write(t, "linebond.toml", "[log]\nto = \"stderr\"\n"+toml)

	d.say("/etc/linebond/linebond.toml:")
	d.show(toml)
	d.say("/etc/linebond/lines.d/a.toml, and b.toml likewise with eth2:")
	d.show("interface = \"eth1\"\nvlan = 101\nusername = \"user@isp\"\npassword = (a secret)")
	d.verb("check")

	d.say("`linebond run` dials both lines, and bonds them:")
	d.up(t)
	d.log()
	d.command(d.Router, "ip", "-brief", "address", "show", "dev", d.TEQL)
	d.command(d.Router, "ip", "route", "show", "default")
	d.command(d.Router, "nft", "list", "chain", "inet", "linebond", "postrouting")

	d.say("The host in the LAN sends as much as it can, over one TCP connection:")
	flow := lab.NewFlow(t, d.LAN, d.ISP, lab.BondServer)
	d.measured(flow)
	d.verb("status")

	d.say("Line b becomes a black hole: its link stays up, and nothing gets through. Three echoes later it is out, and the connection goes on:")
	d.Lines[1].Modem.BlackHole(t)
	d.in(t, "a")
	d.log()
	d.measured(flow)
	d.verb("status")
	d.say("The line works again:")
	d.Lines[1].Modem.Restore(t)
	d.in(t, "a", "b")
	d.log()
	d.measured(flow)
	flow.Stop()

	d.say("Somebody flushes all of nftables, and takes the bond's route away. Both come back:")
	d.Router.Run(t, "nft", "flush", "ruleset")
	d.Router.Run(t, "ip", "route", "delete", "default")
	d.reaches(t)
	d.command(d.Router, "ip", "route", "show", "default")

	d.say("SIGTERM closes the sessions in good order:")
	took := d.linebond.Stop(t)
	d.log()
	d.becomes(t, before)
	d.say(fmt.Sprintf("That took %v. Devices, addresses, routes, qdiscs and nftables are what they were before the start.", took.Round(10*time.Millisecond)))
}

type demo struct {
	*bonded
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

// measured shows how fast a flow is.
func (d *demo) measured(f *lab.Flow) {
	f.GoesOn(d.t, 1<<20) // what began before has an end
	from, begin := f.Received(), time.Now()
	f.GoesOn(d.t, 4<<20)
	rate := float64(f.Received()-from) * 8 / time.Since(begin).Seconds()
	d.show("one TCP connection: " + control.Rate(rate))
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

// command runs a command somewhere.
func (d *demo) command(n *lab.Namespace, args ...string) {
	d.show("# " + strings.Join(args, " ") + "\n" + n.Run(d.t, args[0], args[1:]...))
}
