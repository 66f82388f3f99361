package acl

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"regexp"
	"regexp/syntax"
	"strings"
)

// domains is a set of names: exact ones, suffixes and expressions.
type domains struct {
	exact  map[string]struct{}
	suffix map[string]struct{} // without the leading dot; matches the name itself too
	exprs  []*regexp.Regexp
	listed bool // a file of domains was named, be it empty
}

// addName reads example.com, or .example.com for the name and all below it.
func (d *domains) addName(s string) error {
	rest, isSuffix := strings.CutPrefix(s, ".")
	name, err := NormalizeHost(rest)
	if err != nil {
		return fmt.Errorf("invalid domain %q: want example.com, or .example.com with everything below it", s)
	}
	set := &d.exact
	if isSuffix {
		set = &d.suffix
	}
	if *set == nil {
		*set = make(map[string]struct{})
	}
	(*set)[name] = struct{}{}
	return nil
}

func (d *domains) addExpr(s string) error {
	re, err := compileExpr(s, "(?i)")
	if err != nil {
		return err
	}
	d.exprs = append(d.exprs, re)
	return nil
}

// compileExpr puts flags before an expression, which its error does not show.
func compileExpr(s, flags string) (*regexp.Regexp, error) {
	re, err := regexp.Compile(flags + s)
	if bad, ok := errors.AsType[*syntax.Error](err); ok {
		return nil, fmt.Errorf("invalid regular expression %q: %s", s, bad.Code)
	}
	return re, err
}

// contains expects a name as NormalizeHost returns it.
func (d *domains) contains(name string) bool {
	if _, ok := d.exact[name]; ok {
		return true
	}
	if len(d.suffix) > 0 && d.underSuffix(name) {
		return true
	}
	for _, re := range d.exprs {
		if re.MatchString(name) {
			return true
		}
	}
	return false
}

func (d *domains) underSuffix(name string) bool {
	for {
		if _, ok := d.suffix[name]; ok {
			return true
		}
		dot := strings.IndexByte(name, '.')
		if dot < 0 {
			return false
		}
		name = name[dot+1:]
	}
}

// empty says that there is no condition on the name.
func (d *domains) empty() bool { return !d.listed && d.len() == 0 }

func (d *domains) len() int { return len(d.exact) + len(d.suffix) + len(d.exprs) }

const maxLineErrors = 10 // of one file; the rest is only counted

// readLines calls add for each line of a file that is neither empty nor a
// comment, and joins the errors, each with its line.
func readLines(path string, add func(string) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	var found []error
	bad := 0
	scan := bufio.NewScanner(f)
	for n := 1; scan.Scan(); n++ {
		line := strings.TrimSpace(stripComment(scan.Text()))
		if line == "" {
			continue
		}
		if err := add(line); err != nil {
			if bad++; bad <= maxLineErrors {
				found = append(found, fmt.Errorf("%s:%d: %w", path, n, err))
			}
		}
	}
	if bad > maxLineErrors {
		found = append(found, fmt.Errorf("%s: %d more lines like these", path, bad-maxLineErrors))
	}
	if err := scan.Err(); err != nil {
		found = append(found, fmt.Errorf("read %s: %w", path, err))
	}
	return errors.Join(found...)
}

// stripComment cuts at a # that begins the line or follows a space; elsewhere
// it may be part of an expression.
func stripComment(line string) string {
	for i := 0; i < len(line); i++ {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			return line[:i]
		}
	}
	return line
}
