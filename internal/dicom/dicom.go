// Package dicom reads and writes CT slices.
package dicom
