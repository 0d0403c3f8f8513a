// Judges statements of a log with golang.org/x/mod/sumdb. Reads JSON from standard input, prints a verdict for each.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type statement struct {
	Kind    string            `json:"kind"`
	Vkey    string            `json:"vkey"`
	Note    []byte            `json:"note"`
	Index   int64             `json:"index"`
	Size    int64             `json:"size"`
	Old     int64             `json:"old"`
	Leaf    []byte            `json:"leaf"`
	Root    []byte            `json:"root"`
	OldRoot []byte            `json:"old_root"`
	Proof   [][]byte          `json:"proof"`
	Files   map[string][]byte `json:"files"`
}

type folder map[string][]byte

func (f folder) Height() int { return 8 }

func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range tiles {
		data, ok := f[strings.Replace(tile.Path(), "tile/8/", "tile/", 1)]
		if !ok {
			return nil, fmt.Errorf("no %s", tile.Path())
		}
		found = append(found, data)
	}
	return found, nil
}

func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}

func hash(data []byte) (h tlog.Hash) {
	copy(h[:], data)
	return h
}

func hashes(data [][]byte) (all []tlog.Hash) {
	for _, each := range data {
		all = append(all, hash(each))
	}
	return all
}

func judge(s statement) error {
	switch s.Kind {
	case "note":
		verifier, err := note.NewVerifier(s.Vkey)
		if err != nil {
			return err
		}
		_, err = note.Open(s.Note, note.VerifierList(verifier))
		return err
	case "record":
		return tlog.CheckRecord(hashes(s.Proof), s.Size, hash(s.Root), s.Index, tlog.RecordHash(s.Leaf))
	case "tree":
		return tlog.CheckTree(hashes(s.Proof), s.Size, hash(s.Root), s.Old, hash(s.OldRoot))
	}
	reader := tlog.TileHashReader(tlog.Tree{N: s.Size, Hash: hash(s.Root)}, folder(s.Files))
	proof, err := tlog.ProveRecord(s.Size, s.Index, reader)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, s.Size, hash(s.Root), s.Index, tlog.RecordHash(s.Leaf))
}

func main() {
	var all []statement
	if err := json.NewDecoder(os.Stdin).Decode(&all); err != nil {
		panic(err)
	}
	verdicts := []bool{}
	for _, each := range all {
		verdicts = append(verdicts, judge(each) == nil)
	}
	json.NewEncoder(os.Stdout).Encode(verdicts)
}
