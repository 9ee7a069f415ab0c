//go:build race

package uml

const raceDetector = true
