package tour

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"linebond/config"
	"linebond/lab/modem"
)

// Places in the directory.
var (
	configDir  = filepath.Join(directory, "etc")
	runtimeDir = filepath.Join(directory, "run")
	stateDir   = filepath.Join(directory, "state")
	socket     = filepath.Join(runtimeDir, "linebond.sock")
	logFile    = filepath.Join(directory, "log")
)

// What the lines are like.
const (
	lineDown  = 20_000_000           // bit/s
	equalUp   = 5_000_000            // of bonds for equal lines
	lineDelay = 5 * time.Millisecond // each way
	password  = "a secret of the lab"
)

// unequalUp are the rates, in bit/s, at which the lines of a weighted bond carry what goes to the ISP. What comes from it are equal parts.
var unequalUp = [MaxLines]int{20e6, 5e6, 10e6, 15e6, 8e6, 12e6, 6e6, 18e6}

// up is that of line i.
func (o Options) up(i int) int {
	if o.Bond == config.ModeWeighted {
		return unequalUp[i]
	}
	return equalUp
}

// line is what the modem of line i does.
func (o Options) line(i int) (up, down modem.Direction) {
	return modem.Direction{Rate: int64(o.up(i)), Delay: lineDelay}, modem.Direction{Rate: lineDown, Delay: lineDelay}
}

// uplinks says how many Mbit/s the lines carry up, at the end of a list: " and 5", or ", and 20, 10 and 5".
func (o Options) uplinks() string {
	var all []string
	for i := range o.Lines {
		all = append(all, fmt.Sprint(o.up(i)/1_000_000))
	}
	last := len(all) - 1
	if last == 0 || o.Bond != config.ModeWeighted {
		return " and " + all[0]
	}
	return ", and " + strings.Join(all[:last], ", ") + " and " + all[last]
}

func lineName(i int) string     { return fmt.Sprintf("line%d", i+1) }
func lineUser(i int) string     { return fmt.Sprintf("line%d@isp.example", i+1) }
func lineVLAN(i int) uint16     { return uint16(101 + i) }
func routerDevice(i int) string { return fmt.Sprintf("eth%d", i+1) }

// Names of files in configDir.
const daemonFileName = "linebond.toml"

func lineFileName(i int) string { return "lines.d/" + lineName(i) + ".toml" }

// writeFiles writes the configuration of the daemon, as a person would. teql is the bond's device, if it is to have one.
func writeFiles(o Options, teql string) error {
	files := map[string]string{daemonFileName: daemonFile(o, o.Bond, teql)}
	for i := range o.Lines {
		files[lineFileName(i)] = lineFile(o, i)
	}
	for _, dir := range []string{configDir, filepath.Join(configDir, "lines.d"), runtimeDir} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	return write(files)
}

// write writes files of these names, in place of what is there.
func write(files map[string]string) error {
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(configDir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// daemonFile is linebond.toml with a bond of this mode; teql is the device of one of TEQL.
func daemonFile(o Options, mode, teql string) string {
	text := "[log]\nto = \"stderr\"\n\n"
	if mode != noBond {
		text += fmt.Sprintf("[bond]\nmode = %q\n", mode)
		if mode == config.ModeTEQL {
			text += fmt.Sprintf("device = %q\n", teql)
		}
		text += "\n[health]\nrejoin_after = \"1s\"     # a tour is short; the default is 5s\n"
		if o.Bond == config.ModeWeighted {
			text += "failures = 10           # of five echoes a second\n"
		}
		text += "\n"
	}
	return text + "[lan]\ninterfaces = [\"lan0\"]\n\n[host]\nfirewall = true\n"
}

// lineFile is the file of line i. The scheduler of a weighted bond passes over a line that is silent for some echoes, and so has more of them.
func lineFile(o Options, i int) string {
	text := fmt.Sprintf("interface = %q\nvlan      = %d\nusername  = %q\npassword  = %q\ndownload  = \"%dmbit\"\nupload    = \"%dmbit\"\ndataplane = %q\n",
		routerDevice(i), lineVLAN(i), lineUser(i), password, lineDown/1_000_000, o.up(i)/1_000_000, o.Dataplane)
	if o.Bond == config.ModeWeighted {
		text += "overhead  = \"fttp-ethernet\"\nkeepalive.interval = \"200ms\"\nkeepalive.failures = 20\n"
	}
	return text
}
