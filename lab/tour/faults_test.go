package tour

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"linebond/config"
	"linebond/control"
	"linebond/lab/concentrator"
	"linebond/lab/modem"
	"linebond/lab/netns"
)

var (
	faultTime = flag.Duration("faults", 15*time.Second, "how long TestRandomFaults has things go wrong")
	faultSeed = flag.Uint64("seed", 1, "of TestRandomFaults")
)

// A fault is something that goes wrong, on line i. It need not succeed: what it is about may be gone at the moment.
type fault struct {
	name string
	do   func(s *stage, i int)
}

// inRouter has a shell in the router do something to line i: ETH is its Ethernet device, PPP its own.
func inRouter(command string) fault {
	return fault{command, func(_ *stage, i int) {
		command := strings.NewReplacer("ETH", routerDevice(i), "PPP", "ppp-"+lineName(i)).Replace(command)
		_ = netns.Do(router, func() error { return exec.Command("sh", "-c", command).Run() })
	}}
}

func verb(v control.Verb) fault {
	return fault{fmt.Sprint(v), func(s *stage, i int) { _ = s.client.Command(context.Background(), lineName(i), v) }}
}

// inMode has somebody write another mode for the bond.
func inMode(name, mode string) fault {
	return fault{name, func(s *stage, _ int) {
		_ = write(map[string]string{daemonFileName: daemonFile(s.lab.options, mode, "")})
		_ = s.client.Reload(context.Background())
	}}
}

var faults = []fault{
	{"cut", func(s *stage, i int) { _ = s.lab.modems[i].Cut(true) }},
	{"mended", func(s *stage, i int) { _ = s.lab.modems[i].Cut(false) }},
	{"black hole", func(s *stage, i int) { s.lab.modems[i].BlackHole(true) }},
	{"no black hole", func(s *stage, i int) { s.lab.modems[i].BlackHole(false) }},
	{"bad", func(s *stage, i int) {
		bad := modem.Direction{Rate: 2e6, Delay: 80 * time.Millisecond, Jitter: 40 * time.Millisecond, Loss: 0.1, Duplicate: 0.05, Reorder: 0.2}
		_ = s.lab.modems[i].Set(bad, bad)
	}},
	{"good", func(s *stage, i int) {
		_ = s.lab.modems[i].Set(s.lab.options.line(i))
	}},
	{"AC crashes", func(s *stage, i int) { _ = s.lab.isp.Crash(acName(i)) }},
	{"AC restarts", func(s *stage, i int) { _ = s.lab.isp.Restart(acName(i)) }},
	{"AC crashes and restarts", func(s *stage, i int) { _, _ = s.lab.isp.Crash(acName(i)), s.lab.isp.Restart(acName(i)) }},
	{"PADT", func(s *stage, i int) { _ = s.lab.isp.PADT(acName(i), "maintenance") }},
	{"Terminate", func(s *stage, i int) { _ = s.lab.isp.Terminate(acName(i), "maintenance") }},
	{"slow PADO", func(s *stage, i int) { _ = s.lab.isp.SetOfferDelay(acName(i), 2*time.Second) }},
	{"wrong password", func(s *stage, i int) { _ = s.lab.isp.SetUsers(acName(i), nil) }},
	{"right password", func(s *stage, i int) { _ = s.lab.isp.SetUsers(acName(i), []concentrator.User{user(i)}) }},
	{"garbage", func(s *stage, i int) { _ = s.lab.isp.Garbage(acName(i), 2000) }},
	{"kill -9", func(s *stage, _ int) { _ = s.restart() }},
	verb(control.Redial), verb(control.Down), verb(control.Up),
	{"reload", func(s *stage, _ int) { _ = s.client.Reload(context.Background()) }},
	inMode("another mode", config.ModeMultipath), inMode("own mode", Bonds[0]),
	inRouter("ip link set ETH down; ip link set ETH up"), inRouter("ip link set PPP down"), inRouter("ip link delete PPP"),
	inRouter("ip address flush dev PPP"), inRouter("ip route flush proto 108"), inRouter("nft delete table inet linebond"),
	inRouter("ip link delete wanbond0"), inRouter("ip link set wanbond0 down"), inRouter("tc qdisc delete dev wanbond0 root"),
}

// heal has nothing be wrong any more.
func (s *stage) heal() error {
	for i := range s.lab.options.Lines {
		for _, name := range []string{"mended", "no black hole", "good", "AC restarts", "right password", "own mode", "up", "redial"} {
			for _, f := range faults {
				if f.name == name {
					f.do(s, i)
				}
			}
		}
		if err := s.lab.isp.SetOfferDelay(acName(i), 0); err != nil {
			return err
		}
	}
	return nil
}

// recovered waits until every line works, and a new download comes in by each.
func (s *stage) recovered() (string, error) {
	if _, err := s.await("all lines work again", s.allWork); err != nil {
		return "", err
	}
	if err := s.lab.stopLoad(); err != nil {
		return "", err
	}
	s.lab.startDownload()
	return s.flows()
}

// TestRandomFaults: whatever goes wrong, in whatever order, all lines work again when it is over, and nothing is left in the end.
func TestRandomFaults(t *testing.T) {
	const lines = 3
	var out bytes.Buffer
	err := live(t.Context(), options(lines), Plain{&out}, func(s *stage) error {
		all := steps(options(lines))
		download := slices.IndexFunc(all, func(s step) bool { return s.title == "download" })
		if err := s.play([]step{all[0], all[download]}); err != nil {
			return err
		}
		random, tick := rand.New(rand.NewPCG(*faultSeed, 13)), time.NewTicker(pause)
		defer tick.Stop()
		for began := time.Now(); time.Since(began) < *faultTime; {
			f, line := faults[random.IntN(len(faults))], random.IntN(lines)
			t.Logf("%s: %s", lineName(line), f.name)
			f.do(s, line)
			for range random.IntN(20) {
				if err := s.look(); err != nil {
					return err
				}
				<-tick.C
			}
		}
		healed := step{title: "nothing is wrong any more", do: func(s *stage) error { return s.heal() }, see: (*stage).recovered}
		return s.play([]step{healed, all[len(all)-1]})
	})
	if err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	nothingIsLeft(t)
}
