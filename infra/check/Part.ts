/**
 * A part of `npm run check`: a name, and a function from the project's files to the places that are wrong. No places
 * means the part is ok. Parts that look at text alone are pure; those that start a tool use `root`.
 */
export interface SourceFile {
  /** Relative to the root, with `/`. */
  readonly path: string
  readonly text: string
}

export interface Project {
  readonly root: string
  readonly files: ReadonlyArray<SourceFile>
}

/** `path:line: what is wrong`, or what a tool printed. */
export type Place = string

export interface Part {
  readonly name: string
  readonly run: (project: Project) => ReadonlyArray<Place> | Promise<ReadonlyArray<Place>>
}

export const isTypeScript = (file: SourceFile): boolean => file.path.endsWith(".ts")
