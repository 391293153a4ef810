// Put questions to golang.org/x/mod: sumdb/note opens the checkpoint, sumdb/tlog reads every tile and checks proofs.
//
//	ask_sumdb folder DIR VKEY COSIGNER...   exit 0 where everything holds, else 1 with the reason
//	ask_sumdb proofs < questions            a JSON object a line; a JSON string a line back: "" accepted, else the reason
package main

import (
	"bufio"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// cosigner verifies type 04 lines, which note.NewVerifier does not know.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func (c cosigner) Name() string    { return c.name }
func (c cosigner) KeyHash() uint32 { return c.hash }
func (c cosigner) Verify(text, blob []byte) bool {
	if len(blob) != 8+ed25519.SignatureSize {
		return false
	}
	head := fmt.Sprintf("cosignature/v1\ntime %d\n", binary.BigEndian.Uint64(blob))
	return ed25519.Verify(c.key, append([]byte(head), text...), blob[8:])
}

func newCosigner(vkey string) (note.Verifier, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return nil, fmt.Errorf("%q is no verifier key", vkey)
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 33 || key[0] != 4 {
		return nil, fmt.Errorf("%q is no cosigner's key", vkey)
	}
	id := sha256.Sum256(append([]byte(parts[0]+"\n"), key...))
	if hex.EncodeToString(id[:4]) != parts[1] {
		return nil, fmt.Errorf("%q has another key id", vkey)
	}
	return cosigner{parts[0], binary.BigEndian.Uint32(id[:4]), key[1:]}, nil
}

// folder reads tiles as static files; tiles have 256 hashes, so the library's height in paths is left out.
type folder string

func (f folder) Height() int                     { return 8 }
func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}
func (f folder) ReadTiles(tiles []tlog.Tile) (read [][]byte, err error) {
	for _, tile := range tiles {
		data, err := os.ReadFile(filepath.Join(string(f), strings.Replace(tile.Path(), "tile/8/", "tile/", 1)))
		if err != nil {
			return nil, err
		}
		read = append(read, data)
	}
	return read, nil
}

func readBundle(dir string, n, width int64) (entries [][]byte, err error) {
	tile := tlog.Tile{H: 8, L: 0, N: n, W: int(width)}
	data, err := os.ReadFile(filepath.Join(dir, strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)))
	for err == nil && len(data) > 0 {
		if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
			return nil, fmt.Errorf("bundle %d is cut", n)
		}
		end := 2 + int(binary.BigEndian.Uint16(data))
		entries, data = append(entries, data[2:end]), data[end:]
	}
	if err == nil && int64(len(entries)) != width {
		err = fmt.Errorf("bundle %d has %d entries, expected %d", n, len(entries), width)
	}
	return entries, err
}

func judgeFolder(dir, vkey string, cosigners []string) error {
	log, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	verifiers := []note.Verifier{log}
	for _, each := range cosigners {
		verifier, err := newCosigner(each)
		if err != nil {
			return err
		}
		verifiers = append(verifiers, verifier)
	}
	data, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		return err
	}
	opened, err := note.Open(data, note.VerifierList(verifiers...))
	if err != nil {
		return err
	}
	if len(opened.Sigs) != len(verifiers) {
		return fmt.Errorf("%d of %d keys signed the checkpoint", len(opened.Sigs), len(verifiers))
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != log.Name() {
		return fmt.Errorf("not a checkpoint of %s", log.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return err
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return err
	}
	reader := tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, folder(dir))
	indexes := make([]int64, size)
	for n := range indexes {
		indexes[n] = tlog.StoredHashIndex(0, int64(n))
	}
	leaves, err := reader.ReadHashes(indexes) // authenticates every tile on the way
	if err != nil {
		return err
	}
	for n := int64(0); n < size; n += 256 {
		width := min(256, size-n)
		entries, err := readBundle(dir, n/256, width)
		if err != nil {
			return err
		}
		for i, entry := range entries {
			if tlog.RecordHash(entry) != leaves[n+int64(i)] {
				return fmt.Errorf("entry %d is not the leaf of that place", n+int64(i))
			}
		}
	}
	return nil
}

type question struct {
	Ask              string
	Index, Old, Size int64
	Leaf, Root       string
	OldRoot          string `json:"old_root"`
	Path             []string
}

func unhex(text string) (hash tlog.Hash, err error) {
	data, err := hex.DecodeString(text)
	if err == nil && len(data) != tlog.HashSize {
		err = fmt.Errorf("a hash of %d bytes", len(data))
	}
	copy(hash[:], data)
	return hash, err
}

func judgeProof(told question) error {
	root, err := unhex(told.Root)
	if err != nil {
		return err
	}
	var path []tlog.Hash
	for _, each := range told.Path {
		node, err := unhex(each)
		if err != nil {
			return err
		}
		path = append(path, node)
	}
	if told.Ask == "inclusion" {
		leaf, err := unhex(told.Leaf)
		if err != nil {
			return err
		}
		return tlog.CheckRecord(path, told.Size, root, told.Index, leaf)
	}
	old, err := unhex(told.OldRoot)
	if err != nil {
		return err
	}
	return tlog.CheckTree(path, told.Size, root, told.Old, old)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func main() {
	if len(os.Args) > 3 && os.Args[1] == "folder" {
		if err := judgeFolder(os.Args[2], os.Args[3], os.Args[4:]); err != nil {
			fail(err)
		}
		return
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var told question
		if err := json.Unmarshal(lines.Bytes(), &told); err != nil {
			fail(err)
		}
		verdict := ""
		if err := judgeProof(told); err != nil {
			verdict = err.Error()
		}
		said, _ := json.Marshal(verdict)
		fmt.Println(string(said))
	}
}
