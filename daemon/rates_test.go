package daemon

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"linebond/control"
)

// auto is a weighted bond of two lines, one of which is to be learned.
func auto() map[string]string {
	files := unequal()
	files["lines.d/b.toml"] = lineFile("eth2", "upload = \"auto\"\n"+patient)
	return files
}

// TestRatesKept: what was learned is there after a restart, and kept for the
// next; of lines that are configured nothing is.
func TestRatesKept(t *testing.T) {
	bonded(t, auto(), func(t *testing.T, w *world) {
		f := w.useSchedulers()
		file := filepath.Join(w.options.StateDir, ratesFile)
		if err := os.MkdirAll(w.options.StateDir, 0o755); err != nil {
			t.Fatal(err)
		}
		const kept = `{"lines": {"a": {"upload": 1000000}, "b": {"upload": 8000000}, "gone": {"upload": 9000000}}}`
		if err := os.WriteFile(file, []byte(kept), 0o644); err != nil {
			t.Fatal(err)
		}
		w.bothUp()
		f.carries(t, "ppp-a ppp-b")
		lines, _ := f.made["wanbond0"].told()
		if lines[0].Rate < 18.9e6 || lines[0].Rate > 20e6 || lines[1].Rate < 7.5e6 || lines[1].Rate > 8e6 {
			t.Errorf("%+v", lines)
		}
		x := w.bond().Members[1].Scheduled
		if x == nil || !x.Auto || !x.Learned || x.Believed != 8e6 {
			t.Errorf("%+v", x)
		}
		time.Sleep(2 * keepEvery)
		data, err := os.ReadFile(file)
		if want := "{\n\t\"lines\": {\n\t\t\"b\": {\n\t\t\t\"upload\": 8000000\n\t\t}\n\t}\n}\n"; err != nil || string(data) != want {
			t.Errorf("%v\n%s", err, data)
		}
		w.command("b", control.Down)
		f.carries(t, "ppp-a")
	})
}

// TestKeeper: a file that is damaged, or cannot be written, is told of once.
func TestKeeper(t *testing.T) {
	core, logs := observer.New(zapcore.InfoLevel)
	k := keeper{path: filepath.Join(t.TempDir(), "state", ratesFile), log: &logger{Logger: zap.New(core)}}
	if got := k.load(); len(got) != 0 || logs.Len() != 0 {
		t.Errorf("without a file: %v, %v", got, logs.All())
	}
	rates := map[string]uint64{"a": 5e6}
	k.keep(rates, false)
	k.keep(map[string]uint64{"a": 6e6}, false) // too soon
	if got := k.load(); !maps.Equal(got, rates) {
		t.Errorf("%v", got)
	}
	k.keep(map[string]uint64{"a": 6e6}, true)
	if got := k.load(); got["a"] != 6e6 || logs.Len() != 0 {
		t.Errorf("%v, %v", got, logs.All())
	}
	for _, damaged := range []string{"", "{", `{"lines": 5}`, `{"lines": {"a": {"upload": -1}}}`,
		`{"lines": {"a": {"upload": 0}}}`, `{"lines": {"a": {"upload": 63999}}}`, `{"lines": {"a": {"upload": 18446744073709551615}}}`} {
		logs.TakeAll()
		if err := os.WriteFile(k.path, []byte(damaged), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := k.load(); len(got) != 0 || logs.Len() != 1 {
			t.Errorf("%q: %v, %v", damaged, got, logs.All())
		}
	}
	const partly = `{"lines": {"a": {"upload": 1}, "b": {"upload": 64000}, "c": {"upload": 100000000001}}}`
	if err := os.WriteFile(k.path, []byte(partly), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := k.load(); !maps.Equal(got, map[string]uint64{"b": 64000}) {
		t.Errorf("%v", got)
	}
	logs.TakeAll()
	k.path = "/dev/null/rates.json"
	k.keep(map[string]uint64{"a": 7}, true)
	k.keep(map[string]uint64{"a": 8}, true)
	if logs.Len() != 1 {
		t.Errorf("%v", logs.All())
	}
}
