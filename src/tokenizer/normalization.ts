// Runs the library's normalizer step by step so that every character keeps its origin. The text is
// always what the library makes of it; knows no vocabulary and no words.

import {
  PrependNormalizer,
  ReplaceNormalizer,
  SequenceNormalizer,
  StripNormalizer,
  type Normalizer,
} from "@huggingface/tokenizers";
import { type AlignedText, type Edit, replaceMatches, rewrite } from "./aligned-text.ts";

export type NormalizationStep = (aligned: AlignedText) => AlignedText;

/** Normalisation that the library takes from tokenizer_config.json, before the normalizer. */
export interface ConfiguredNormalization {
  readonly removeSpace: boolean;
  readonly lowercaseAndRemoveAccents: boolean;
}

type Normalize = (text: string) => string;

/** A character with what may compose with it: marks, Hangul vowels and finals, half-width forms. */
const cluster = /[^][\p{M}\u1160-\u11ff\ud7b0-\ud7ff\uff9e-\uffdc]*/gu;
const whitespace = /^\s+$/u;
const lowercased: Normalize = (text) => text.toLowerCase().replace(/\p{M}/gu, "");

/** The steps of `normalizer` in order, those of the configuration first. */
export function normalizationSteps(
  normalizer: Normalizer | null,
  configured: ConfiguredNormalization,
): readonly NormalizationStep[] {
  const steps: NormalizationStep[] = [];
  if (configured.removeSpace) {
    steps.push(strip(true, true), (aligned) => replaceMatches(aligned, /\s+/g, " "));
  }
  if (configured.lowercaseAndRemoveAccents) {
    steps.push(checked("do_lowercase_and_remove_accent", lowercased, byCluster(lowercased)));
  }
  if (normalizer !== null) steps.push(...stepsOf(normalizer));
  return steps;
}

function stepsOf(normalizer: Normalizer): readonly NormalizationStep[] {
  if (normalizer instanceof SequenceNormalizer) {
    return normalizer.normalizers.flatMap((part) => (part === null ? [] : stepsOf(part)));
  }
  const normalize: Normalize = (text) => normalizer.normalize(text);
  return [checked(normalizer.config.type, normalize, alignmentOf(normalizer))];
}

function alignmentOf(normalizer: Normalizer): NormalizationStep {
  if (normalizer instanceof PrependNormalizer) {
    const { prepend } = normalizer.config;
    return (aligned) => rewrite(aligned, [{ from: 0, to: 0, text: prepend }]);
  }
  if (normalizer instanceof StripNormalizer) {
    return strip(normalizer.config.strip_left ?? false, normalizer.config.strip_right ?? false);
  }
  if (normalizer instanceof ReplaceNormalizer) {
    const { pattern, config } = normalizer;
    return (aligned) =>
      pattern === null ? aligned : replaceMatches(aligned, pattern, config.content);
  }
  return byCluster((text) => normalizer.normalize(text));
}

/** The library has the last word: a step that made another text of it must not give offsets. */
function checked(name: string, normalize: Normalize, align: NormalizationStep): NormalizationStep {
  return (aligned) => {
    const result = align(aligned);
    if (result.text !== normalize(aligned.text)) {
      throw new Error(`tokenizer: cannot follow offsets through the normalizer ${name}`);
    }
    return result;
  };
}

function strip(left: boolean, right: boolean): NormalizationStep {
  return (aligned) => {
    const { text } = aligned;
    const from = left ? text.length - text.trimStart().length : 0;
    const to = Math.max(from, right ? text.trimEnd().length : text.length);
    return rewrite(aligned, [
      { from: 0, to: from, text: "" },
      { from: to, to: text.length, text: "" },
    ]);
  };
}

/**
 * Normalises cluster by cluster, which gives the same text as normalising the whole unless a
 * character's form depends on its neighbours (a final sigma does). Then every run between spaces is
 * normalised as a whole: lengths agree, so it matches unit by unit; failing that, all of the run
 * stands for all of its origin: coarse, but true.
 */
function byCluster(normalize: Normalize): NormalizationStep {
  return (aligned) => {
    const { text } = aligned;
    const known = new Map<string, string>();
    const remembered: Normalize = (part) => {
      const result = known.get(part) ?? normalize(part);
      known.set(part, result);
      return result;
    };
    const edits = clusterEdits(text, remembered);
    const whole = normalize(text);
    if (joined(edits) === whole) return rewrite(aligned, edits);
    return rewrite(
      aligned,
      runsOf(edits, text).flatMap((run) => runEdits(run, text, normalize)),
    );
  };
}

/** One edit per cluster, or finer: per character, with those that vanish joined to the one before. */
function clusterEdits(text: string, normalize: Normalize): readonly Edit[] {
  const edits: Edit[] = [];
  for (const match of text.matchAll(cluster)) {
    const result = normalize(match[0]);
    const parts = result === match[0] ? [] : charactersOf(match[0], match.index, normalize);
    const block = { from: match.index, to: match.index + match[0].length, text: result };
    const finer = parts.length > 0 && joined(parts) === result;
    for (const edit of finer ? parts : [block]) edits.push(edit);
  }
  return edits;
}

function charactersOf(text: string, offset: number, normalize: Normalize): Edit[] {
  const edits: Edit[] = [];
  let at = offset;
  for (const character of text) {
    const edit = { from: at, to: at + character.length, text: normalize(character) };
    const previous = edits.at(-1);
    if (edit.text === "" && previous !== undefined && previous.text !== "") {
      edits[edits.length - 1] = { ...previous, to: edit.to };
    } else {
      edits.push(edit);
    }
    at = edit.to;
  }
  return edits;
}

/** Groups the edits of a whole text into runs, each ended by a space that stays a space. */
function runsOf(edits: readonly Edit[], text: string): readonly (readonly Edit[])[] {
  const runs: Edit[][] = [[]];
  for (const edit of edits) {
    runs.at(-1)?.push(edit);
    if (whitespace.test(edit.text) && whitespace.test(text.slice(edit.from, edit.to))) {
      runs.push([]);
    }
  }
  return runs.filter((run) => run.length > 0);
}

function runEdits(run: readonly Edit[], text: string, normalize: Normalize): readonly Edit[] {
  const from = run[0]?.from ?? 0;
  const to = run.at(-1)?.to ?? 0;
  const whole = normalize(text.slice(from, to));
  if (joined(run).length !== whole.length) return [{ from, to, text: whole }];
  let at = 0;
  return run.map((edit) => {
    at += edit.text.length;
    return { ...edit, text: whole.slice(at - edit.text.length, at) };
  });
}

function joined(edits: readonly Edit[]): string {
  return edits.map((edit) => edit.text).join("");
}
