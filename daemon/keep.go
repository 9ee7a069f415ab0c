package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.uber.org/zap"

	"linebond/rate"
)

// keepEvery is how often learned rates are written, if they have changed.
const keepEvery = time.Minute

// ratesFile holds what was learned, from one run to the next, in the state
// directory.
const ratesFile = "rates.json"

// keptRates is its content.
type keptRates struct {
	Lines map[string]keptRate `json:"lines"` // by name
}

type keptRate struct {
	Upload uint64 `json:"upload"` // bit/s
}

// keeper keeps learned rates in a file.
type keeper struct {
	path   string
	log    *logger
	last   map[string]uint64 // that is in the file
	next   time.Time         // not before
	warned bool
}

// load reads the file. A damaged one is as good as none, and so is what is no
// rate of a line.
func (k *keeper) load() map[string]uint64 {
	data, err := os.ReadFile(k.path)
	var kept keptRates
	if err == nil {
		err = json.Unmarshal(data, &kept)
	}
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			k.lost(err)
		}
		return map[string]uint64{}
	}
	rates := map[string]uint64{}
	for _, name := range slices.Sorted(maps.Keys(kept.Lines)) {
		upload := kept.Lines[name].Upload
		if upload < rate.Least || upload > rate.Most {
			k.lost(fmt.Errorf("line %s: %d bit/s is no rate of a line", name, upload))
			continue
		}
		rates[name] = upload
	}
	k.last = maps.Clone(rates)
	return rates
}

func (k *keeper) lost(err error) {
	k.log.Warn("learned rates are lost, and are learned again", zap.Error(fmt.Errorf("%s: %w", k.path, err)))
}

// keep writes the file if the rates have changed, soon or now. That it cannot is
// told once.
func (k *keeper) keep(rates map[string]uint64, now bool) {
	if maps.Equal(rates, k.last) || !now && time.Now().Before(k.next) {
		return
	}
	k.next = time.Now().Add(keepEvery)
	if err := k.write(rates); err != nil {
		if !k.warned {
			k.log.Warn("learned rates cannot be kept, and are learned again after a restart; give a directory that can be written by --state-dir", zap.Error(err))
		}
		k.warned = true
		return
	}
	k.last, k.warned = rates, false
}

func (k *keeper) write(rates map[string]uint64) error {
	kept := keptRates{Lines: map[string]keptRate{}}
	for name, upload := range rates {
		kept.Lines[name] = keptRate{upload}
	}
	data, err := json.MarshalIndent(kept, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(k.path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(k.path), ratesFile+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // if it is still there
	_, err = f.Write(append(data, '\n'))
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), k.path)
}
