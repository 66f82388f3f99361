package node

import (
	"io"
	"os"
	"regexp"
	"sort"
	"strings"

	"github.com/cachenode/cachenode/internal/strictyaml"
)

// Load reads the configuration file at path over the defaults. Problems of the
// file (also values that do not make sense) come back as strictyaml.Problems,
// each with its place; the error is for a file that cannot be read.
func Load(path string) (Options, strictyaml.Problems, error) {
	o := DefaultOptions()
	src, err := readStart(path)
	if err != nil {
		return o, nil, &Fault{Err: err, Config: true, Hint: "name another file with --config, or start from 'cachenode config example'"}
	}
	problems := Parse(path, src, &o)
	return o, problems, nil
}

// readStart reads a file, but not much more than is allowed of it.
func readStart(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, strictyaml.MaxSize+1))
}

// Parse decodes src onto o, which holds the defaults, and validates the result.
func Parse(name string, src []byte, o *Options) strictyaml.Problems {
	file, problems := strictyaml.Decode(name, src, o)
	wrong := map[string]bool{}
	for _, p := range problems {
		wrong[p.Key] = true
	}
	for _, msg := range lines(o.Validate()) {
		// A value that could not even be read has kept its default, about which
		// there is nothing more to say.
		if key := keyOf(msg); !wrong[key] {
			problems = append(problems, file.At(key, strictyaml.Error, msg))
		}
	}
	for _, msg := range o.Warnings() {
		problems = append(problems, file.At(keyOf(msg), strictyaml.Warning, msg))
	}
	sort.SliceStable(problems, func(i, j int) bool {
		a, b := problems[i], problems[j]
		return a.Line < b.Line || (a.Line == b.Line && a.Column < b.Column)
	})
	return problems
}

// keyed is how each package's validation begins its errors.
var keyed = regexp.MustCompile(`^([a-z0-9_]+(?:\[\d+\]|\.[a-z0-9_]+)*): `)

// lines takes a validation's joined errors apart; a line that does not begin
// with a key goes on from the one before.
func lines(err error) []string {
	if err == nil {
		return nil
	}
	var all []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if len(all) > 0 && !keyed.MatchString(line) {
			all[len(all)-1] += " " + strings.TrimSpace(line)
			continue
		}
		all = append(all, line)
	}
	return all
}

// keyOf is the configuration key a message begins with.
func keyOf(msg string) string {
	if m := keyed.FindStringSubmatch(msg); m != nil {
		return m[1]
	}
	return ""
}
