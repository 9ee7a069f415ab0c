// Package tour is `linebond lab`: a small world in network namespaces, and a tour through what can happen to its lines.
//
//	lan ──veth── router ──veth── wire (modems) ──veth── isp ──veth── internet
//	             linebond run     for each line a pair   ACs         servers
//
// Each box is a network namespace, linebond-lab-lan and so on. Modems, access concentrators and servers are this process; the daemon
// is the real one, a child, with files of its own in /run/linebond-lab. All of it goes when this process ends; what a killed one has
// left goes with the next one, or with Clean.
package tour

import (
	"errors"
	"time"

	"linebond/config"
	"linebond/lab/internet"
	"linebond/lab/isp"
	"linebond/lab/modem"
	"linebond/lab/netns"
)

// Options say what the lab is like.
type Options struct {
	Lines     int    // 1 to MaxLines
	Bond      string // how the lines are bonded: of Bonds
	Dataplane string // of each line, as in its file
	Program   string // linebond itself
}

// MaxLines is the most that a lab has.
const MaxLines = 8

// What Options may say, the default first.
var (
	Bonds      = []string{config.ModeWeighted, config.ModeMultipath, config.ModeTEQL, noBond}
	Dataplanes = []string{"auto", "ebpf", "kernel"}
)

// noBond is a lab without a bond.
const noBond = "none"

// The network namespaces.
const (
	lan    = prefix + "lan"
	router = prefix + "router"
	wire   = prefix + "wire"
	ispNS  = prefix + "isp"
	web    = prefix + "internet"
)

// Lab is a lab that lives.
type Lab struct {
	options Options
	began   time.Time
	teql    string // the TEQL device that was borrowed, if one was
	modems  []*modem.Modem
	isp     *isp.ISP
	house   *netns.House // of the daemon, in the router
	load    *load
	upload  *load          // beside the download; nil while there is none
	pings   *internet.Echo // beside the download; nil while there are none
	undo    []func() error // what Close does, last first
}

// Open builds a lab, in place of what an earlier one may have left. The daemon does not run yet.
func Open(o Options, began time.Time) (*Lab, error) {
	if err := MayRun(); err != nil {
		return nil, err
	}
	dir, err := lock()
	if err != nil {
		return nil, err
	}
	if _, err := sweep(); err != nil {
		return nil, errors.Join(err, unlock(dir))
	}
	l := &Lab{options: o, began: began}
	l.later(func() error { return unlock(dir) })
	l.later(func() error {
		_, err := sweep()
		return err
	})
	if err := l.build(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// later has Close do something, before what is to be done already.
func (l *Lab) later(undo func() error) { l.undo = append(l.undo, undo) }

// Close takes everything away.
func (l *Lab) Close() error {
	var errs []error
	for i := len(l.undo) - 1; i >= 0; i-- {
		errs = append(errs, l.undo[i]())
	}
	l.undo = nil
	return errors.Join(errs...)
}
