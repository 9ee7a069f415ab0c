package daemon

import "linebond/line"

func (w *worker) openDiscovery() {
	w.closeDiscovery()
	discovery, err := w.effects.Planes.OpenDiscovery(w.cfg)
	if err == nil {
		w.discovery = discovery
		var early Early
		if early, err = w.effects.Planes.OpenEarly(w.cfg); err == nil {
			w.early = early
		}
	}
	if err != nil {
		w.pending = append(w.pending, line.DiscoveryFailed{Err: err})
	}
}

func (w *worker) openSession(a line.OpenSession) {
	session, err := w.effects.Planes.OpenSession(w.cfg, a.Session, w.early)
	w.closeEarly()
	if err != nil {
		w.pending = append(w.pending, line.SessionFailed{Err: err})
		return
	}
	w.session = session
	w.pending = append(w.pending, line.SessionOpened{})
}

func (w *worker) closeSockets() {
	w.closeSession()
	w.closeDiscovery()
	w.timers = [line.NumTimers]deadline{}
	w.clock.Stop()
}

// closeSession closes the session, if there is one. One that has not left its
// bond until now is dead: no packets under way to it are waited for.
func (w *worker) closeSession() {
	if w.session != nil {
		w.settle()
		_, err := w.bond.leave(w.cfg.Device)
		w.check(err)
		w.check(w.session.Close())
		w.session = nil
	}
}

func (w *worker) closeDiscovery() {
	w.closeEarly()
	if w.discovery != nil {
		w.check(w.discovery.Close())
		w.discovery = nil
	}
}

func (w *worker) closeEarly() {
	if w.early != nil {
		w.check(w.early.Close())
		w.early = nil
	}
}
