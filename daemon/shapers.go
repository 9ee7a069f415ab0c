package daemon

import (
	"go.uber.org/zap"

	"linebond/netstate"
)

// tellShapers logs what the queues of weighted bonds are made of, as found: the
// kernel may lack the best.
func (d *Daemon) tellShapers(found []netstate.Shaper) {
	kinds := map[string]netstate.ShaperKind{}
	for _, s := range found {
		kinds[s.Device] = s.Kind
		if d.shapers[s.Device] == s.Kind {
			continue
		}
		about := []zap.Field{zap.String("bond", s.Device), zap.String("kind", string(s.Kind))}
		switch s.Kind {
		case netstate.ShaperTBFCoDel:
			about = append(about, zap.String("lacking", "cake: hosts get no equal shares, and packets marked by DSCP no precedence"))
		case netstate.ShaperTBF:
			about = append(about, zap.String("lacking", "cake, fq_codel: connections get no equal shares either"))
		}
		d.log.Info("shaper", about...)
	}
	d.shapers = kinds
}
