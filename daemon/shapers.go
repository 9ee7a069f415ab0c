package daemon

import (
	"go.uber.org/zap"

	"linebond/netstate"
)

// tellShapers logs what the queues of weighted bonds are made of, as found: the
// kernel may lack the best. Without fair queues a warning is in place.
func (d *Daemon) tellShapers(found []netstate.Shaper) {
	kinds := map[string]netstate.ShaperKind{}
	for _, s := range found {
		kinds[s.Device] = s.Kind
		if d.shapers[s.Device] == s.Kind {
			continue
		}
		about := []zap.Field{zap.String("bond", s.Device), zap.String("kind", string(s.Kind))}
		tell := d.log.Info
		switch s.Kind {
		case netstate.ShaperTBFCoDel:
			about = append(about, zap.String("lacking", "cake: hosts get no equal shares, and packets marked by DSCP no precedence"))
		case netstate.ShaperTBF:
			tell = d.log.Warn
			about = append(about, zap.String("lacking", "cake, fq_codel: neither hosts nor connections get equal shares, and a ping waits behind other packets"))
		}
		tell("shaper", about...)
	}
	d.shapers = kinds
}
