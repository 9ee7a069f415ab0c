package netstate

// planRoutes adds what is missing on the devices that will be up, and then deletes what is too much. On a device whose IPv4 routes may be
// flushed on the way it is the other way round, and all wanted ones are added.
func (d *differ) planRoutes(flushed map[string]bool) plan {
	var p plan
	want, have := setOf(d.want.Routes), map[Route]bool{}
	for _, r := range d.have.Routes {
		switch wanted := want[r]; {
		case d.removed[r.Device]: // gone with it
		case flushed[r.Device] && r.Destination.Addr().Is4():
			if !wanted {
				p.first = append(p.first, DeleteRoute{r})
			}
		case wanted:
			have[r] = true
		default:
			p.last = append(p.last, DeleteRoute{r})
		}
	}
	for _, r := range d.want.Routes {
		if d.up[r.Device] && !have[r] {
			p.add = append(p.add, AddRoute{r})
		}
	}
	return p
}
