// Package plot draws figures as SVG and sets them in one self-contained HTML
// page: no script, no style but its own, nothing loaded from anywhere. It knows
// nothing of what the figures mean.
package plot

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"io"
)

// Page is a page to read.
type Page struct {
	Title    string
	Lead     string // what it is about, one sentence
	Facts    []Fact // shown large
	Warnings []string
	Sections []Section
	Footer   string
}

// Fact is one figure with its name.
type Fact struct {
	Name, Value string
	Bad         bool
}

// Section is a heading with a plot, a table, or both.
type Section struct {
	ID    string
	Title string
	Note  string
	Plot  template.HTML // of SVG()
	Table *Table
	Open  bool // the table is shown at once, not only on demand
}

// Table is rows under a head.
type Table struct {
	Head []string
	Rows [][]string // cells that begin with a digit are set to the right
}

// Numeric reports that a column holds numbers, as its first cell tells that is
// not empty: it is set to the right.
func (t *Table) Numeric(column int) bool {
	for _, row := range t.Rows {
		if column < len(row) && row[column] != "" {
			return isNumber(row[column])
		}
	}
	return false
}

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

// Write sets the page. Everything in it is escaped; the policy of the page
// forbids whatever is not its own style sheet.
func (p *Page) Write(w io.Writer) error {
	t, err := template.New("page").Funcs(template.FuncMap{
		"css":     func() template.CSS { return template.CSS(pageCSS) },
		"cssHash": cssHash,
		"clean":   clean,
		"number":  isNumber,
	}).Parse(pageHTML)
	if err != nil {
		return err
	}
	return t.Execute(w, p)
}

// cssHash is the style sheet as Content-Security-Policy names it.
func cssHash() string {
	sum := sha256.Sum256([]byte(pageCSS))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func isNumber(s string) bool { return s != "" && s[0] >= '0' && s[0] <= '9' }
