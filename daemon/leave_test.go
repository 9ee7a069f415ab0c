package daemon

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// witness is a scheduler that notes which lines leave while their devices are
// still there.
type witness struct {
	*fakeScheduler
	mu   *sync.Mutex
	left *[]string
}

func (x witness) Leave(device string) (bool, error) {
	link, err := x.of.host.Link(device)
	was, refused := x.fakeScheduler.Leave(device)
	if err == nil && was && link.Exists {
		x.mu.Lock()
		defer x.mu.Unlock()
		*x.left = append(*x.left, device)
	}
	return was, refused
}

// TestLeaves: however a session ends, packets go to its device no more before it
// is taken away; and they do again when there is another one.
func TestLeaves(t *testing.T) {
	for name, end := range map[string]func(w *world){
		"PADT": func(w *world) { w.ac.hangUp("maintenance") },
		"another MTU": func(w *world) {
			w.host.change(func(h *fakeHost) { h.link("eth1").MTU, h.link("eth2").MTU = 1496, 1496 })
		},
	} {
		t.Run(name, func(t *testing.T) {
			bonded(t, unequal(), func(t *testing.T, w *world) {
				f := w.useSchedulers()
				var mu sync.Mutex
				var left []string
				w.options.Effects.OpenScheduler = func(device string, mtu int) (Scheduler, error) {
					s, err := f.open(device, mtu)
					if err != nil {
						return nil, err
					}
					return witness{s.(*fakeScheduler), &mu, &left}, nil
				}
				w.bothUp()
				f.carries(t, "ppp-a ppp-b")
				end(w)
				time.Sleep(time.Second)
				synctest.Wait()
				mu.Lock()
				if slices.Sort(left); !slices.Equal(left, []string{"ppp-a", "ppp-b"}) {
					t.Errorf("in time left %q", left)
				}
				mu.Unlock()
				f.carries(t, "ppp-a ppp-b")
			})
		})
	}
}
